import json
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fuzzing import tries
from hypothesis import given
from hypothesis import strategies as st

from segfast_edge.deployment.signing import new_key, read_key, sign
from segfast_edge.errors import ArtifactError, TargetError
from targets.install.ed25519 import _ORDER, _P, valid_key, verified
from targets.install.trust import Trust, public_key, read_public_key

# RFC 8032, section 7.1: public key, message, signature
VECTORS = {
    "empty": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "one byte": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "two bytes": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "SHA-512 of abc": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_rfcs_own_signatures_fit_and_no_neighbour_of_them_does(name):
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[name])
    assert verified(key, message, signature)
    assert not verified(key, message + b"x", signature)
    for place in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not verified(key, message, bytes(changed))
    assert not verified(bytes([key[0] ^ 1]) + key[1:], message, signature)


@tries(25)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.integers(0, 63), st.integers(1, 255))
def test_what_cryptography_signs_is_verified_and_a_changed_byte_is_not(seed, message, place, change):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    signature = private.sign(message)
    assert verified(key, message, signature)
    changed = bytearray(signature)
    changed[place] ^= change
    assert not verified(key, message, bytes(changed))


def test_a_second_signature_made_from_the_first_is_refused():
    key, message, signature = (bytes.fromhex(part) for part in VECTORS["two bytes"])
    factor = int.from_bytes(signature[32:], "little") + _ORDER
    assert not verified(key, message, signature[:32] + factor.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),  # a point of order 4
        (1).to_bytes(32, "little"),  # the neutral point
        (_P - 1).to_bytes(32, "little"),  # order 2
        _P.to_bytes(32, "little"),  # y not reduced
        (2).to_bytes(32, "little"),  # not on the curve
        b"short",
    ],
)
def test_keys_that_would_let_anything_pass_are_none(key):
    assert not valid_key(key)
    assert not verified(key, b"message", bytes(64))


@tries(100)
@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=100))
def test_no_bytes_make_the_verifier_fail(key, message, signature):
    assert verified(key, message, signature) is False


def test_a_new_pair_is_what_openssl_reads_and_is_never_written_over(tmp_path):
    public = new_key(tmp_path / "car.key")
    assert (tmp_path / "car.key").stat().st_mode & 0o777 == 0o600
    derived = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "car.key", "-pubout"], capture_output=True, text=True
    )
    assert derived.stdout == public.read_text()
    assert len(read_public_key(public)) == 32
    with pytest.raises(TargetError, match="never written over"):
        new_key(tmp_path / "car.key")


def test_files_that_are_no_key_are_named(tmp_path):
    (tmp_path / "text").write_text("no key")
    rsa = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True).stdout
    (tmp_path / "rsa").write_text(rsa)
    for name, message in (
        ("none", "cannot read key"),
        ("text", "is not a private key"),
        ("rsa", "is not an Ed25519 key"),
    ):
        with pytest.raises(TargetError, match=message):
            read_key(tmp_path / name)
    for name in ("none", "text", "rsa"):
        with pytest.raises(TargetError, match=r"cannot read key|is not an Ed25519 public key"):
            read_public_key(tmp_path / name)


@tries(100)
@given(st.text(max_size=200))
def test_no_text_makes_the_key_reader_fail(text):
    with pytest.raises(TargetError, match="not an Ed25519 public key"):
        public_key(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----", "k")


def test_trust_is_given_to_named_keys_only_and_for_the_bytes_that_were_signed(tmp_path):
    public, other = new_key(tmp_path / "a"), new_key(tmp_path / "b")
    signature, name = sign(b"listing", read_key(tmp_path / "a"))
    trust = Trust((read_public_key(public),))
    assert trust.check(b"listing", signature) == name
    with pytest.raises(ArtifactError, match="changed after it was signed"):
        trust.check(b"listinG", signature)
    with pytest.raises(ArtifactError, match="not trusted here"):
        Trust((read_public_key(other),)).check(b"listing", signature)
    with pytest.raises(ArtifactError, match="is not signed"):
        trust.check(b"listing", None)
    with pytest.raises(ArtifactError, match="no key is trusted here yet"):
        Trust(()).check(b"listing", signature)
    assert Trust((), unsigned=True).check(b"listing", None) is None
    forged = json.dumps({"key": name, "signature": "00" * 64}).encode()
    with pytest.raises(ArtifactError, match="changed after"):
        trust.check(b"listing", forged)


_VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=130))
_NEARLY = st.dictionaries(st.sampled_from(["key", "signature"]), _VALUES).map(lambda value: json.dumps(value).encode())


@tries(100)
@given(st.one_of(st.binary(max_size=200), _NEARLY))
def test_no_signature_file_makes_the_check_fail(data):
    with pytest.raises(ArtifactError):
        Trust((bytes.fromhex(VECTORS["empty"][0]),)).check(b"listing", data)
