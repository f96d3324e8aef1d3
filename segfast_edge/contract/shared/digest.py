"""SHA-256 of small files as Python computes it by itself, so that OpenSSL, 4 MB of a runner's memory, is not loaded."""

import contextlib
import importlib
from typing import Protocol, cast

_LARGE_BYTES = 16 << 20  # from here on OpenSSL, several times as fast, is worth its memory


class Digest(Protocol):
    """The part of ``hashlib``'s interface that is used here."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far as hexadecimal."""
        ...


def new_sha256(size: int) -> Digest:
    """Return a SHA-256 of nothing yet, for ``size`` bytes to come."""
    # hashlib takes the same two modules where OpenSSL is missing: _sha256 up to Python 3.11, _sha2 from 3.12 on
    for name in ("_sha2", "_sha256") if size < _LARGE_BYTES else ():
        with contextlib.suppress(ImportError):
            return cast(Digest, importlib.import_module(name).sha256())
    return cast(Digest, importlib.import_module("hashlib").sha256())
