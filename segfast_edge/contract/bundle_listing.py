"""The format of a bundle: a tar.gz that begins with a list of all its files, signed or not. Standard library only.

The order in the archive is ``bundle.json``, ``bundle.sig`` if it is signed, then every file of the list, sorted.
Whoever unpacks it knows what to expect before the first file comes, and takes nothing that is not on the list.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segfast_edge.contract.shared.digest import new_sha256
from segfast_edge.errors import ArtifactError, SegfastError

BUNDLE_VERSION = 1
LISTING, SIGNATURE = "bundle.json", "bundle.sig"
_RESERVED = (LISTING, SIGNATURE, "complete.json")  # the last is the installer's own: targets/install/release_check.py
SIGNED_PREFIX = b"segfast-edge bundle 1\n"  # so that a signature of anything else is never one of a bundle

MAX_LISTING_BYTES = 8 << 20
MAX_FILES = 50_000
MAX_BYTES = 4 << 30  # of all files together, unpacked
_MAX_NAME = 250


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a bundle."""

    sha256: str
    size: int
    executable: bool = False

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or not all(c in "0123456789abcdef" for c in self.sha256):
            raise ArtifactError(f"'{self.sha256[:80]}' is not a SHA-256")
        if not 0 <= self.size <= MAX_BYTES:
            raise ArtifactError(f"a file of {self.size} bytes is listed; at most {MAX_BYTES} are allowed")


@dataclass(frozen=True, slots=True)
class BundleListing:
    """``bundle.json``: what the bundle is for, and every file in it by its path, relative and with ``/``.

    ``packages`` says for which computer Python packages are included (``machine``, ``python``, ``glibc``), and is
    empty if they are not.
    """

    name: str
    target: str
    format: str
    version: str
    files: Mapping[str, ListedFile]
    packages: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.files) > MAX_FILES:
            raise ArtifactError(f"{len(self.files)} files are listed; at most {MAX_FILES} are allowed")
        if sum(each.size for each in self.files.values()) > MAX_BYTES:
            raise ArtifactError(f"the files listed have over {MAX_BYTES} bytes together")
        for name in self.files:
            check_name(name)
        _check_folders(self.files)

    def to_bytes(self) -> bytes:
        """Return the file's content; equal listings give equal bytes."""
        files = {
            name: {"sha256": each.sha256, "size": each.size, "executable": each.executable}
            for name, each in sorted(self.files.items())
        }
        value = {
            "bundle_version": BUNDLE_VERSION,
            "name": self.name,
            "target": self.target,
            "format": self.format,
            "version": self.version,
            "packages": dict(sorted(self.packages.items())),
            "files": files,
        }
        return (json.dumps(value, indent=1, ensure_ascii=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "BundleListing":
        """Read what ``to_bytes`` wrote.

        Raises:
            ArtifactError: another version, a field missing or of the wrong kind, or a file name that leads elsewhere.
        """
        try:
            value = json.loads(data.decode("utf-8"))
            version = value.get("bundle_version")
            if version != BUNDLE_VERSION:
                raise ArtifactError(f"the bundle has version {version}; this release reads {BUNDLE_VERSION}")
            return cls(
                name=_text(value["name"]),
                target=_text(value["target"]),
                format=_text(value["format"]),
                version=_text(value["version"]),
                files={_text(name): _listed(each) for name, each in value["files"].items()},
                packages={_text(key): _text(each) for key, each in value["packages"].items()},
            )
        except SegfastError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"{LISTING} is not valid: {type(error).__name__} {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise TypeError(f"{str(value)[:80]!r} is not a text of at most {_MAX_NAME} characters")
    return value


def _listed(value: Any) -> ListedFile:
    size, executable = value["size"], value["executable"]
    if isinstance(size, bool) or not isinstance(size, int) or not isinstance(executable, bool):
        raise TypeError("a size or an executable mark is of the wrong kind")
    return ListedFile(_text(value["sha256"]), size, executable)


def check_name(name: str) -> None:
    """Raise ArtifactError unless ``name`` is a plain path below the bundle's folder."""
    parts = name.split("/")
    plain = name.isascii() and name.isprintable() and "\\" not in name and len(name) <= _MAX_NAME
    if not plain or any(part in ("", ".", "..") for part in parts) or parts[0] in _RESERVED:
        raise ArtifactError(f"file name {name[:200]!r} is not allowed: it is not a plain path below the bundle")


def _check_folders(files: Mapping[str, ListedFile]) -> None:
    for name in files:
        folder = name
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in files:
                raise ArtifactError(f"{folder!r} is listed as a file and as a folder")


def release_of(listing: bytes) -> str:
    """Return the release's name: the SHA-256 of ``bundle.json``, which holds that of every other file."""
    digest = new_sha256(len(listing))
    digest.update(listing)
    return digest.hexdigest()
