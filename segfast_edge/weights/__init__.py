"""Weights that come with the package: NAME.pt, its model card NAME.md and the log of its training NAME.jsonl."""

from pathlib import Path

from segfast_edge.contract.shared.files import sha256
from segfast_edge.errors import ArtifactError, unknown

DEFAULT = "camvid-standard-segfast_fast"
_FOLDER = Path(__file__).parent


def shipped() -> list[str]:
    """Return the names of the weights that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.pt"))


def card_of(checkpoint_sha256: str) -> Path | None:
    """Return the model card of shipped weights by their checksum, None if none of them has it."""
    found = (name for name in shipped() if sha256(_FOLDER / f"{name}.pt") == checkpoint_sha256)
    name = next(found, None)
    return None if name is None else _FOLDER / f"{name}.md"


def find(given: Path) -> Path:
    """Return a path as it is, or the checkpoint of shipped weights if it is their name.

    Raises:
        ArtifactError: nothing is there, and no weights of that name come with the package.
    """
    if given.exists():
        return given
    if str(given) in shipped():
        return _FOLDER / f"{given}.pt"
    raise ArtifactError(
        f"no checkpoint file or artifact folder at {given}; {unknown('weights', str(given), shipped())}"
    )
