"""The project's virtual environments, made once and made again when what they hold changes. Standard library only."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
MAIN, TFLITE_RUNTIME = ROOT / ".venv", ROOT / ".venv-tflite"


def python_of(folder: Path) -> Path:
    """Return the interpreter of the environment in ``folder``."""
    return folder / "bin" / "python"


def _make(folder: Path, requirements: list[str]) -> Path:
    text = "\n".join([sys.version, *requirements, CONSTRAINTS.read_text(), (ROOT / "pyproject.toml").read_text()])
    stamp, digest = folder / "made-from.sha256", hashlib.sha256(text.encode()).hexdigest()
    python = python_of(folder)
    if stamp.is_file() and stamp.read_text() == digest and python.exists():
        return python
    print(f"setting up {folder.name} (once; a few minutes) ...", flush=True)
    venv.create(folder, with_pip=True, clear=False, symlinks=True)  # a running program does not block it
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements], check=True, cwd=ROOT)
    stamp.write_text(digest)
    return python


def main_environment() -> Path:
    """Return the interpreter that has the toolkit, every runtime and the test tools."""
    # torch first and by its exact version: a range lets pip take a newer build with gigabytes of CUDA libraries
    with_constraints = ["--constraint", str(CONSTRAINTS)]
    return _make(MAIN, [*with_constraints, "torch==2.13.0", "--editable", ".[dev]"])


def tflite_runtime_environment() -> Path | None:
    """Return the interpreter with tflite-runtime and its numpy<2, or None where no wheel exists for this machine."""
    try:
        return _make(TFLITE_RUNTIME, ["tflite-runtime==2.14.0", "numpy<2", "pillow"])
    except subprocess.CalledProcessError:
        print("tflite-runtime has no wheel here; the tests that need it will be skipped", file=sys.stderr)
        return None


def require_python() -> None:
    """End with one line unless this is Python 3.11 or newer on Linux or macOS."""
    if sys.version_info < (3, 11) or os.name != "posix":
        sys.exit(f"Python 3.11 or newer is needed (this is {sys.version.split()[0]}): python3.11 {sys.argv[0]}")
