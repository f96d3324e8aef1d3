"""Ed25519 key pairs in the files that OpenSSL reads and writes, and signatures of listings."""

import json
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from segfast_edge.contract.bundle_listing import SIGNED_PREFIX
from segfast_edge.errors import TargetError


def new_key(path: Path) -> Path:
    """Write a new private key that only its owner can read, and the public key beside it with ``.pub`` added.

    Raises:
        TargetError: a key is there already, or the place is not writable.
    """
    public = path.with_name(f"{path.name}.pub")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(private)
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    except FileExistsError as error:
        raise TargetError(f"{path} exists already; a key is never written over. Choose another name") from error
    except OSError as error:
        raise TargetError(f"cannot write {path}: {error.strerror or error}") from error
    return public


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        TargetError: no such file, or not an Ed25519 private key without a password.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise TargetError(f"cannot read key {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TargetError(f"{path} is not a private key, or has a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise TargetError(f"{path} is not an Ed25519 key; make one with: segfast-edge bundle --new-key car.key")
    return key


def sign(listing: bytes, key: Ed25519PrivateKey) -> tuple[bytes, str]:
    """Return the signature file for a listing, and the public key in hexadecimal."""
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
    value = {"algorithm": "ed25519", "key": public, "signature": key.sign(SIGNED_PREFIX + listing).hex()}
    return (json.dumps(value, indent=1) + "\n").encode(), public
