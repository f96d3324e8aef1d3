"""A bundle's files into a folder: signature first, then nothing but what is listed, each file held to its checksum."""

import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from segfast_edge.contract.bundle_listing import (
    LISTING,
    MAX_LISTING_BYTES,
    SIGNATURE,
    BundleListing,
    ListedFile,
    release_of,
)
from segfast_edge.errors import ArtifactError, TargetError
from targets.install.trust import MAX_SIGNATURE_BYTES, Trust
from targets.install.ustar import Archive, Member

_PIECE = 1 << 20
_PACKED = 1 << 16  # what is left of it is copied at each read


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle whose list has been verified; ``signed_by`` is a key in hexadecimal, None for an unsigned one."""

    listing: BundleListing
    listing_bytes: bytes
    signature: bytes | None
    signed_by: str | None

    @property
    def release(self) -> str:
        """The release's name, 64 hexadecimal digits."""
        return release_of(self.listing_bytes)

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(each.size for each in self.listing.files.values())


def _opened(listing: bytes, signature: bytes | None, trust: Trust) -> Opened:
    signed_by = trust.check(listing, signature)  # before anything in it is believed
    return Opened(BundleListing.from_bytes(listing), listing, signature, signed_by)


def inspect(bundle: Path, trust: Trust) -> Opened:
    """Read a bundle, tar.gz or unpacked, to its end, and hold every file to the list; nothing is written.

    Raises:
        ArtifactError: not a bundle, not trusted, or not what was listed.
    """
    return _each(bundle, trust, None)


def unpack(bundle: Path, trust: Trust, folder: Path) -> Opened:
    """Write a bundle's files into the empty ``folder``; ``Layout.seal`` forces them to the disk.

    Raises:
        ArtifactError: not a bundle, not trusted, or not what was listed; ``folder`` may hold a part then.
        TargetError: the disk is full or not writable.
    """
    try:
        return _each(bundle, trust, folder)
    except OSError as error:
        raise TargetError(f"cannot write {folder}: {error.strerror or error}") from error


def _each(bundle: Path, trust: Trust, folder: Path | None) -> Opened:
    if bundle.is_dir():
        return _from_folder(bundle, trust, folder)
    with _archive(bundle) as archive:
        return _from_archive(archive, trust, folder)


@contextmanager
def _archive(bundle: Path) -> Iterator[Archive]:
    try:
        raw = bundle.open("rb")
    except OSError as error:
        raise ArtifactError(f"cannot read bundle {bundle}: {error.strerror or error}") from error
    with raw:
        stream = _Unzipped(raw)
        try:
            yield Archive(stream)
            more = stream.has_more()
        except (EOFError, zlib.error) as error:
            raise ArtifactError(f"{bundle} is not a whole tar.gz: {error}") from error
        if more:
            raise ArtifactError(f"more bytes follow the archive's end in {bundle}; download or copy it again")


class _Unzipped:
    """One gzip member, to its checksum and no further: ``gzip`` would read on into whatever was put behind it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def read(self, count: int, /) -> bytes:
        """Return ``count`` bytes, fewer only at the end."""
        data = bytearray()
        while len(data) < count and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._raw.read(_PACKED)
            if not packed:
                raise EOFError("it ends in the middle")
            data += self._inflater.decompress(packed, count - len(data))
        return bytes(data)

    def has_more(self) -> bool:
        """Say whether anything follows the member, or is left in it."""
        return bool(self.read(1) or self._inflater.unused_data or self._raw.read(1))


def _from_archive(archive: Archive, trust: Trust, folder: Path | None) -> Opened:
    entries = iter(archive)
    first = next(entries, None)
    if first is None or first.name != LISTING:
        raise ArtifactError(f"this is not a bundle: {LISTING} does not come first")
    listing = archive.content(MAX_LISTING_BYTES)
    entry = next(entries, None)
    signature = None
    if entry is not None and entry.name == SIGNATURE:
        signature = archive.content(MAX_SIGNATURE_BYTES)
        entry = next(entries, None)
    opened = _opened(listing, signature, trust)
    waiting = dict(opened.listing.files)
    if folder is not None:
        _begin(folder, opened)
    while entry is not None:
        listed = waiting.pop(entry.name, None)
        if listed is None:
            raise ArtifactError(f"{entry.name[:200]!r} is in the archive and not on the list, or comes twice")
        if entry != Member(entry.name, listed.size, listed.executable):
            raise ArtifactError(f"{entry.name} is not as listed: {entry.size} bytes, {listed.size} are listed")
        with _writing(folder, entry.name, listed) as out:
            archive.copy_to(out)
        entry = next(entries, None)
    if waiting:
        raise ArtifactError(f"the archive lacks {min(waiting)}, which is listed")
    archive.refuse_more()
    return opened


def _from_folder(bundle: Path, trust: Trust, folder: Path | None) -> Opened:
    try:
        listing = _small(bundle / LISTING, MAX_LISTING_BYTES)
        signature = _small(bundle / SIGNATURE, MAX_SIGNATURE_BYTES) if (bundle / SIGNATURE).is_file() else None
    except OSError as error:
        raise ArtifactError(f"{bundle} is not a bundle: {error.strerror or error}") from error
    opened = _opened(listing, signature, trust)
    if folder is not None:
        _begin(folder, opened)
    for name, listed in opened.listing.files.items():
        path = bundle / name
        if not path.is_file() or path.is_symlink() or path.stat().st_size != listed.size:
            raise ArtifactError(f"{path} is not the file that is listed")
        with path.open("rb") as stream, _writing(folder, name, listed) as out:
            while piece := stream.read(_PIECE):
                out.write(piece)
    return opened


def _small(path: Path, limit: int) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ArtifactError(f"{path} has over {limit} bytes")
    return data


def _begin(folder: Path, opened: Opened) -> None:
    free = shutil.disk_usage(folder).free
    if free < opened.size:
        raise TargetError(f"{folder} has {free // 1_000_000} MB free; the bundle needs {opened.size // 1_000_000}")
    (folder / LISTING).write_bytes(opened.listing_bytes)
    if opened.signature is not None:
        (folder / SIGNATURE).write_bytes(opened.signature)


class _Checked:
    """Takes a file's content, to be written or only counted, and sums it up."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Take a piece."""
        self.digest.update(data)
        view = memoryview(data)
        while view and self._descriptor is not None:
            view = view[os.write(self._descriptor, view) :]


@contextmanager
def _writing(folder: Path | None, name: str, listed: ListedFile) -> Iterator[_Checked]:
    """Give what takes the content; on leaving, hold it to its checksum."""
    descriptor = None
    if folder is not None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # nobody can have put a link there: the folder is new and only listed files come in
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o755 if listed.executable else 0o644)
    try:
        checked = _Checked(descriptor)
        yield checked
        if checked.digest.hexdigest() != listed.sha256:
            raise ArtifactError(f"{name} is not the file that was bundled (sha256 differs)")
    finally:
        if descriptor is not None:
            os.close(descriptor)
