"""A folder as a tar.gz that is the same bytes whenever and wherever it is made from the same files."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.bundle_listing import LISTING, SIGNATURE, BundleListing, ListedFile
from segfast_edge.contract.shared.files import replacing_file, sha256
from segfast_edge.errors import TargetError

# The one level that zlib and its faster successors are likeliest to agree on is none; 6 differs between them, so
# "the same bytes" holds for one build of zlib, which is what the file list's checksums do not depend on
_LEVEL = 6


def listed_files(folder: Path) -> dict[str, ListedFile]:
    """Return every file below ``folder`` with its checksum; executable is what begins with ``#!``.

    The mark comes from the content, not from the file system, so that a checkout's umask changes nothing.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise TargetError(f"{path} is a link; a bundle holds plain files only")
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as stream:
                executable = stream.read(2) == b"#!"
            files[name] = ListedFile(sha256(path), path.stat().st_size, executable)
    return files


def write_archive(path: Path, folder: Path, listing: BundleListing, *, signature: bytes | None) -> None:
    """Write the archive, whole or not at all: list, signature, then the files in the list's order."""
    first: Mapping[str, bytes] = {LISTING: listing.to_bytes(), **({SIGNATURE: signature} if signature else {})}
    with (
        replacing_file(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in first.items():
            archive.addfile(_header(name, len(data), executable=False), io.BytesIO(data))
        for name, listed in sorted(listing.files.items()):
            with (folder / name).open("rb") as stream:
                archive.addfile(_header(name, listed.size, executable=listed.executable), stream)


def _header(name: str, size: int, *, executable: bool) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o755 if executable else 0o644
    try:
        header.tobuf(tarfile.USTAR_FORMAT)
    except ValueError as error:
        raise TargetError(f"{name} is too long a path for a bundle: {error}") from error
    return header
