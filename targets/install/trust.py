"""The keys whose bundles a device accepts."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.bundle_listing import SIGNED_PREFIX
from segfast_edge.errors import ArtifactError, TargetError
from targets.install.ed25519 import valid_key, verified

# what stands before the 32 bytes of an Ed25519 key in a public key file (RFC 8410)
_DER_PREFIX = bytes.fromhex("302a300506032b6570032100")
MAX_SIGNATURE_BYTES = 4096


def public_key(text: str, name: str) -> bytes:
    """Return the 32 bytes of an Ed25519 public key in PEM, as ``openssl pkey -pubout`` writes it.

    Raises:
        TargetError: it is something else; the message calls it ``name``.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[:1] == ["-----BEGIN PUBLIC KEY-----"] and lines[-1:] == ["-----END PUBLIC KEY-----"]:
        try:
            data = base64.b64decode("".join(lines[1:-1]), validate=True)
        except (binascii.Error, ValueError):
            data = b""
        key = data[len(_DER_PREFIX) :]
        if data.startswith(_DER_PREFIX) and valid_key(key):
            return key
    raise TargetError(f"{name} is not an Ed25519 public key; make a pair with: segfast-edge bundle --new-key car.key")


def read_public_key(path: Path) -> bytes:
    """Read a public key file."""
    try:
        return public_key(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"cannot read key {path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Trust:
    """The public keys whose signatures count, and whether a bundle without one is accepted, too."""

    keys: Sequence[bytes]
    unsigned: bool = False

    def check(self, listing: bytes, signature: bytes | None) -> str | None:
        """Return the key that signed ``listing`` in hexadecimal, or None for an unsigned bundle that is allowed.

        Raises:
            ArtifactError: not signed, signed by somebody else, or changed since.
        """
        if self.unsigned:
            return None
        if not self.keys:
            raise ArtifactError(
                "no key is trusted here yet. Pass --trust KEY.pub, or --unsigned to take the bundle as it is"
            )
        if signature is None:
            raise ArtifactError("the bundle is not signed. Sign it with --key, or pass --unsigned to take it as it is")
        key, value = _signature(signature)
        if key not in self.keys:
            raise ArtifactError(f"the bundle is signed with key {key.hex()[:16]}…, which is not trusted here")
        if not verified(key, SIGNED_PREFIX + listing, value):
            raise ArtifactError("the bundle's signature does not fit: it was changed after it was signed")
        return key.hex()


def _signature(data: bytes) -> tuple[bytes, bytes]:
    try:
        value = json.loads(data)
        return bytes.fromhex(value["key"]), bytes.fromhex(value["signature"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"the bundle's signature is not readable: {type(error).__name__} {error}") from error
