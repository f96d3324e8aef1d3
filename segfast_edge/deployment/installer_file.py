"""The installer as one file that any Python 3.10 runs: device code that installs, and nothing else."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from segfast_edge.contract.shared.endings import failure
from segfast_edge.device.code import device_code
from segfast_edge.errors import TargetError

NAME = "install.pyz"
_PARTS = (
    "targets/__init__.py",
    "targets/install/*.py",
    "segfast_edge/__init__.py",
    "segfast_edge/errors.py",
    "segfast_edge/contract/__init__.py",
    "segfast_edge/contract/bundle_listing.py",
    "segfast_edge/contract/shared/__init__.py",
    "segfast_edge/contract/shared/arguments.py",
    "segfast_edge/contract/shared/digest.py",
    "segfast_edge/contract/shared/durable.py",
    "segfast_edge/contract/shared/endings.py",
)
_MAIN = "from targets.install.__main__ import main\n\nraise SystemExit(main())\n"


def write_installer(folder: Path) -> Path:
    """Write the installer into ``folder``."""
    path = folder / NAME
    with tempfile.TemporaryDirectory(prefix="segfast-device-") as name, zipfile.ZipFile(path, "w") as archive:
        code = device_code(Path(name))
        for part in _PARTS:
            for file in sorted(code.glob(part)):
                archive.write(file, file.relative_to(code))
        archive.writestr("__main__.py", _MAIN)
    return path


def run_here(installer: Path, words: Sequence[str]) -> None:
    """Run the installer on this machine in a process of its own; TargetError with its last line if it fails."""
    done = subprocess.run([sys.executable, str(installer), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TargetError(failure("the installer", done.returncode, done.stderr, prefix="install: "))
