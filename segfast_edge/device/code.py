"""The device code, which is copied to a device without anything of the toolkit."""

import shutil
from pathlib import Path

from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import TargetError

_PACKAGE = Path(__file__).parents[1]
_SHARED = ("__init__.py", "errors.py", "contract")  # what the device code needs of segfast_edge


def import_path() -> Path:
    """Return the folder from which Python imports ``targets``: inside the installed wheel, or the checkout."""
    for folder in (_PACKAGE / "_device", _PACKAGE.parent):
        if (folder / "targets" / "__main__.py").is_file():
            return folder
    raise TargetError(f"the device code is missing from {_PACKAGE}; install segfast-edge again")


def _targets() -> Path:
    return import_path() / "targets"


def target_names() -> list[str]:
    """Return the targets' names, read from the device code's folder."""
    return names_in(_targets())


def device_code(destination: Path) -> Path:
    """Copy ``targets`` and the shared part of ``segfast_edge`` into ``destination``, which becomes a PYTHONPATH.

    Raises:
        TargetError: this installation lacks the device code, or ``destination`` is not writable.
    """
    without_caches = shutil.ignore_patterns("__pycache__", "*.pyc")
    try:
        shutil.copytree(_targets(), destination / "targets", ignore=without_caches)
        (destination / "segfast_edge").mkdir()
        for name in _SHARED:
            source = _PACKAGE / name
            if source.is_dir():
                shutil.copytree(source, destination / "segfast_edge" / name, ignore=without_caches)
            else:
                shutil.copyfile(source, destination / "segfast_edge" / name)
    except OSError as error:
        raise TargetError(f"cannot copy the device code to {destination}: {error.strerror or error}") from error
    return destination
