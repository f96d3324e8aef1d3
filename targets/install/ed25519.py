"""Verifying Ed25519 signatures (RFC 8032) in plain Python, because a device has no other way that is always there.

The standard library has none, `openssl` is not installed everywhere and 1.1.1 cannot do it from a file, and a compiled
package would have to be trusted before it is verified. One verification takes some 10 ms and happens once per bundle.
Nothing here is secret, so that it does not run in constant time does not matter. It must not be used to sign.
"""

import hashlib

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z

_NEUTRAL: Point = (0, 1, 1, 0)


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * _D * one[3] * other[3] % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: Point) -> Point:
    total = _NEUTRAL
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


def _equal(one: Point, other: Point) -> bool:
    same_x = (one[0] * other[2] - other[0] * one[2]) % _P == 0
    return same_x and (one[1] * other[2] - other[1] * one[2]) % _P == 0


def _decoded(data: bytes) -> Point | None:
    """Return the point that 32 bytes stand for: y, and the lowest bit of x on top; None if there is none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return None
    squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(squared, (_P + 3) // 8, _P)
    if x * x % _P != squared:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != squared or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


def _base() -> Point:
    point = _decoded((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert point is not None, "the base point is on the curve"
    return point


_BASE = _base()


def valid_key(key: bytes) -> bool:
    """Say whether 32 bytes are a public key: a point, and not one of the eight whose multiples repeat at once."""
    point = _decoded(key) if len(key) == 32 else None
    return point is not None and not _equal(_times(8, point), _NEUTRAL)


def verified(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` (64 bytes) of ``message`` was made with the private part of ``key`` (32 bytes)."""
    if len(signature) != 64 or not valid_key(key):
        return False
    public, commitment = _decoded(key), _decoded(signature[:32])
    factor = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or factor >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    return _equal(_times(factor, _BASE), _add(commitment, _times(challenge, public)))
