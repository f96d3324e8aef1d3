"""The project's virtual environments, made once and made again when what they hold changes. Standard library only."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
MAIN, TFLITE_RUNTIME = ROOT / ".venv", ROOT / ".venv-tflite"
TAKE_CUDA = "SEGFAST_CUDA"  # set to 1 by whoever wants torch's CUDA build
_CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")
_CPU_BUILDS = ("--torch-backend", "cpu", "--no-deps")  # what torch needs comes through pip, from the index it is set to


def python_of(folder: Path) -> Path:
    """Return the interpreter of the environment in ``folder``."""
    return folder / "bin" / "python"


def _pip(python: Path, *words: str) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]


def _make(folder: Path, requirements: list[str], *, torch: Sequence[str] = ()) -> Path:
    text = "\n".join([sys.version, *requirements, CONSTRAINTS.read_text(), (ROOT / "pyproject.toml").read_text()])
    stamp, digest = folder / "made-from.sha256", hashlib.sha256(text.encode()).hexdigest()
    python = python_of(folder)
    if stamp.is_file() and stamp.read_text() == digest and python.exists():
        return python
    print(f"setting up {folder.name} (once; a few minutes) ...", flush=True)
    venv.create(folder, with_pip=True, clear=False, symlinks=True)  # a running program does not block it
    if torch:
        install_torch(python, torch)
    subprocess.run(_pip(python, *requirements), check=True, cwd=ROOT)
    stamp.write_text(digest)
    return python


def install_torch(python: Path, pins: Sequence[str]) -> None:
    """Install ``pins`` (torch and what is built for it) as CPU builds, or end with one line that says what to do.

    The ordinary index's torch brings gigabytes of CUDA libraries. pip takes the CPU build only if its own settings
    offer one; uv knows where the CPU builds are. Whoever sets SEGFAST_CUDA=1 takes what pip finds.
    """
    cuda = [] if os.environ.get(TAKE_CUDA) == "1" else _cuda_packages(python, pins)
    if not cuda:
        _run(_pip(python, *pins), f"cannot install {' '.join(pins)}")
        return
    failure = (
        f"pip offers {pins[0]} only with CUDA libraries ({cuda[0]} and others), and uv could not fetch the CPU build."
        f" Put the CPU builds of {' and '.join(pins)} into a folder and set PIP_FIND_LINKS to it, or set {TAKE_CUDA}=1"
        " to accept the CUDA libraries"
    )
    _run(_pip(python, "uv"), failure)
    _run([str(python), "-m", "uv", "pip", "install", "--python", str(python), *_CPU_BUILDS, *pins], failure)


def _cuda_packages(python: Path, pins: Sequence[str]) -> list[str]:
    """Return the CUDA packages that pip would install with ``pins``; asking fetches no more than their metadata."""
    report = _run(_pip(python, "--dry-run", "--report", "-", *pins), f"cannot install {' '.join(pins)}")
    names = [each["metadata"]["name"].lower().replace("_", "-") for each in json.loads(report)["install"]]
    return sorted(name for name in names if name.startswith(_CUDA_PACKAGES))


def _run(command: list[str], failure: str) -> str:
    """Run a command and return what it printed; if it fails, end with ``failure`` and the command's own last words."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: PLW1510 (its status is read below)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        sys.exit(f"{failure} ({lines[-1] if lines else f'exit status {done.returncode}'})")
    return done.stdout


def main_environment() -> Path:
    """Return the interpreter that has the toolkit, every runtime and the test tools."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    torch = [line for line in lines if line.startswith(("torch==", "torchvision=="))]
    return _make(MAIN, ["--constraint", str(CONSTRAINTS), "--editable", ".[dev]"], torch=torch)


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
