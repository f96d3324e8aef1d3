"""The check that an installed release is unchanged, to the last byte. Standard library only, as guard.py needs it.

``complete.json`` is written last, once everything else is on the disk: a release without it is not complete. It has the
release's whole name and the checksums of what the bundle's list does not: the signature, and Python's bytecode.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

LISTING = "bundle.json"
COMPLETE = "complete.json"
_BLOCK = 1 << 20


def checksum(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def marker(folder: Path) -> dict[str, Any]:
    """Return the content of ``complete.json`` for a release whose other files are all there."""
    listing = (folder / LISTING).read_bytes()
    listed = {LISTING, COMPLETE, *json.loads(listing)["files"]}
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    more = {name: checksum(folder / name) for name in names if name not in listed}
    return {"release": hashlib.sha256(listing).hexdigest(), "more": more}


def damage(folder: Path) -> str:
    """Return what is wrong with the release in ``folder``, "" if nothing is."""
    try:
        said = json.loads((folder / COMPLETE).read_bytes())
        listing = (folder / LISTING).read_bytes()
        release = hashlib.sha256(listing).hexdigest()
        if said["release"] != release or not release.startswith(folder.name):
            return f"{LISTING} is not the one that was installed"
        expected = {name: each["sha256"] for name, each in json.loads(listing)["files"].items()} | said["more"]
        for name, sha256 in expected.items():
            if (folder / name).is_symlink() or checksum(folder / name) != sha256:
                return f"{name} is not as it was installed"
    except OSError as error:
        return f"{Path(str(error.filename)).name} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{COMPLETE} or {LISTING} is damaged: {type(error).__name__}"
    return ""
