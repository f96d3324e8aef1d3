"""Bundles for the tests: made once, then changed where a test needs them different."""

import dataclasses
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tiny_runner import proven_artifact

from segfast_edge.deployment.bundle import BundleRequest, Prepared, prepare
from segfast_edge.deployment.bundle_archive import listed_files
from segfast_edge.deployment.signing import new_key, read_key, sign


@cache
def _home() -> Path:
    return Path(mkdtemp(prefix="segfast-tiny-bundle-"))


@cache
def key() -> Path:
    """Return a private key; its public half has ``.pub`` added."""
    new_key(_home() / "car.key")
    return _home() / "car.key"


def public() -> Path:
    """Return the public key."""
    return key().with_name("car.key.pub")


@cache
def prepared() -> Prepared:
    """Return the files of a sound bundle for the null target; not to be changed."""
    artifact = proven_artifact(_home() / "artifact")
    (_home() / "sound").mkdir()
    return prepare(BundleRequest(artifact, "null", Path("x.tar.gz")), _home() / "sound")


def variant(folder: Path, change=lambda _: None, of: Prepared | None = None) -> Prepared:
    """Copy a sound bundle's files, change them, and list them anew; every change is another release."""
    sound = of or prepared()
    shutil.copytree(sound.folder, folder)
    change(folder)
    return Prepared(folder, dataclasses.replace(sound.listing, files=listed_files(folder)))


def write(made: Prepared, path: Path, signed_with: Path | None = None) -> Path:
    """Write a bundle, signed with the tests' key unless another is given."""
    signature, _ = sign(made.listing.to_bytes(), read_key(signed_with or key()))
    made.write(path, signature=signature)
    return path


def other_release(folder: Path) -> None:
    """Make a bundle another release of the same quality."""
    (folder / "MODEL_CARD.md").write_text("another")


def bad_model(folder: Path) -> None:
    """Give the artifact golden labels that the model does not compute."""
    shutil.rmtree(folder / "artifact")
    proven_artifact(folder / "artifact", wrong=True)


def dies_later(folder: Path) -> None:
    """Let the bundle pass its self-test and end as soon as it is to run in earnest."""
    _edit(
        folder / "run.py",
        "    return main(",
        "    if '--self-test' not in sys.argv:\n        return 7\n    return main(",
    )


_NO_RESULT = """
import sys

_sound, _seen = NullSession.run, []


def _broken(session, batch):
    _seen.append(1)
    if '--self-test' not in sys.argv and len(_seen) > 1:
        raise RuntimeError('broken')
    return _sound(session, batch)


NullSession.run = _broken
"""


def no_result_later(folder: Path) -> None:
    """Let the bundle pass its self-test and give no result when it runs in earnest."""
    with (folder / "targets/engines/null.py").open("a") as code:
        code.write(_NO_RESULT)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def install(bundle: Path, root: Path, *words, check: bool = True, env=None) -> subprocess.CompletedProcess:
    """Run the installer from this checkout."""
    command = [sys.executable, "-m", "targets.install", *([str(bundle)] if bundle else []), "--root", str(root)]
    done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, env=env, cwd=ROOT)
    assert not check or done.returncode == 0, done.stderr
    return done


ROOT = Path(__file__).resolve().parent.parent
