"""Which build of torch the tools install, tried with folders of hand-made wheels in place of an index."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import environment

PINS = ["torch==2.13.0", "torchvision==0.28.0"]
# in place of uv: installs from the folder that stands for the index of CPU builds
UV = """
import os, subprocess, sys
assert sys.argv[1:3] == ["pip", "install"] and "--torch-backend cpu" in " ".join(sys.argv)
pins = [word for word in sys.argv if "==" in word]
words = ["-m", "pip", "install", "--no-deps", "--no-index", "--find-links", os.environ["CPU_BUILDS"], *pins]
del os.environ["PIP_FIND_LINKS"]
sys.exit(subprocess.run([sys.argv[sys.argv.index("--python") + 1], *words]).returncode)
"""


def wheel(folder, name, version, *needs, files=()):
    """Write a wheel by hand: its modules, its metadata and the list of both."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {each}" for each in needs]
    texts = {f"{name}/__init__.py": "", **{f"{name}/{path}": text for path, text in files}}
    texts[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    texts[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{path},,\n" for path in [*texts, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**texts, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


def cpu_builds(folder):
    wheel(folder, "torch", "2.13.0+cpu")
    wheel(folder, "torchvision", "0.28.0+cpu", "torch==2.13.0")
    return folder


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    return folder


@pytest.fixture
def index(tmp_path, monkeypatch):
    """What an ordinary index has of torch: a build that brings CUDA libraries, and pip told to look nowhere else."""
    folder = tmp_path / "index"
    wheel(folder, "torch", "2.13.0", "nvidia-cublas; platform_system == 'Linux'", "sympy")
    wheel(folder, "torchvision", "0.28.0", "torch==2.13.0")
    wheel(folder, "nvidia_cublas", "13.1")
    wheel(folder, "sympy", "1.14")
    for name, value in {"FIND_LINKS": str(folder), "NO_INDEX": "1", "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv(environment.TAKE_CUDA, raising=False)
    return folder


@pytest.fixture
def python(empty_environment, tmp_path):
    return environment.python_of(shutil.copytree(empty_environment, tmp_path / "venv", symlinks=True))


def installed(python):
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    return {line.partition(" @ ")[0].partition("==")[0]: line for line in listed.splitlines()}


def test_a_cpu_build_that_pips_settings_offer_is_taken(index, python, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", f"{index} {cpu_builds(tmp_path / 'more')}")
    environment.install_torch(python, PINS)
    assert installed(python) == {"torch": "torch==2.13.0+cpu", "torchvision": "torchvision==0.28.0+cpu"}


def test_cuda_libraries_are_refused_in_one_line_if_nothing_else_is_there(index, python):
    with pytest.raises(SystemExit) as stop:
        environment.install_torch(python, PINS)
    message = str(stop.value)
    assert "\n" not in message
    assert "torch==2.13.0 only with CUDA libraries (nvidia-cublas and others)" in message
    assert "PIP_FIND_LINKS" in message
    assert "SEGFAST_CUDA=1" in message
    assert not installed(python)


def test_uv_fetches_the_cpu_build_if_pip_has_none_and_pip_leaves_it_alone(index, python, tmp_path, monkeypatch):
    wheel(index, "uv", "0.13", files=[("__main__.py", UV)])
    monkeypatch.setenv("CPU_BUILDS", str(cpu_builds(tmp_path / "cpu")))
    environment.install_torch(python, PINS)
    subprocess.run(environment._pip(python, *PINS), check=True)
    assert {"torch==2.13.0+cpu", "torchvision==0.28.0+cpu"} <= set(installed(python).values())
    assert "nvidia_cublas" not in installed(python)


def test_uv_that_fails_is_one_line_too(index, python, tmp_path, monkeypatch):
    wheel(index, "uv", "0.13", files=[("__main__.py", UV)])
    monkeypatch.setenv("CPU_BUILDS", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^[^\n]*SEGFAST_CUDA=1[^\n]*$"):
        environment.install_torch(python, PINS)
    assert "torch" not in installed(python)


def test_whoever_asks_for_cuda_gets_it(index, python, monkeypatch):
    monkeypatch.setenv(environment.TAKE_CUDA, "1")
    environment.install_torch(python, PINS)
    assert {"torch==2.13.0", "nvidia_cublas==13.1"} <= set(installed(python).values())


def test_pins_that_nobody_has_are_one_line(index, python):
    with pytest.raises(SystemExit, match=r"^cannot install torch==9\.9 \([^\n]*\)$"):
        environment.install_torch(python, ["torch==9.9"])
