"""Wheels for another computer: which may run there, and what their libraries ask of its glibc."""

import subprocess
import sys

import pytest

from segfast_edge.errors import TargetError
from segfast_edge.remote.wheels import Platform, cache_folder, gather, needed_glibc, refuse_newer_glibc

BOOKWORM = Platform("aarch64", (3, 11), (2, 36))
BULLSEYE = Platform("aarch64", (3, 10), (2, 31))


def library(folder, name, *versions):
    """Write what the symbol versions of a shared library look like to one who reads its bytes."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF\0" + b"".join(f"GLIBC_{version}\0".encode() for version in versions))
    return path


def test_the_newest_wheel_that_a_glibc_allows_comes_first_and_no_newer_one():
    tags = BULLSEYE.tags()
    assert tags[0] == "manylinux_2_31_aarch64"
    assert tags[-2:] == ["manylinux2014_aarch64", "linux_aarch64"]
    assert "manylinux_2_17_aarch64" in tags
    assert not any("2_34" in tag for tag in tags)


def test_the_newest_glibc_of_all_libraries_is_found(tmp_path):
    library(tmp_path, "a/one.so", "2.17", "2.4")
    newest = library(tmp_path, "b/two.cpython-311-aarch64-linux-gnu.so", "2.9", "2.34", "2.3.4")
    (tmp_path / "notes.txt").write_text("GLIBC_2.99")
    assert needed_glibc(tmp_path) == ((2, 34), newest)


def test_packages_without_libraries_need_no_glibc(tmp_path):
    (tmp_path / "pure.py").touch()
    assert needed_glibc(tmp_path) == ((0, 0), None)


def test_a_library_that_asks_for_more_than_its_name_says_is_refused(tmp_path):
    library(tmp_path, "runtime/lib.so.1", "2.34")
    refuse_newer_glibc(tmp_path, BOOKWORM)
    with pytest.raises(TargetError, match=r"runtime/lib\.so\.1 needs glibc 2\.34; the device has 2\.31"):
        refuse_newer_glibc(tmp_path, BULLSEYE)


def test_the_glibc_of_a_real_library_is_that_which_objdump_sees():
    import numpy

    folder = type(cache_folder())(numpy.__file__).parent / "_core"
    needed, path = needed_glibc(folder)
    said = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True)
    if said.returncode != 0:
        pytest.skip("objdump is not installed: apt-get install binutils")
    assert f"GLIBC_{needed[0]}.{needed[1]}" in said.stdout
    assert f"GLIBC_{needed[0]}.{needed[1] + 1}" not in said.stdout


def test_a_package_without_a_wheel_for_the_device_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path))
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))
    with pytest.raises(TargetError, match=r"no wheels of numpy for aarch64, Python 3\.11, glibc 2\.36: No matching"):
        gather(["numpy"], BOOKWORM)
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == ["lock"]


def test_the_cache_is_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SEGFAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "usual"))
    assert cache_folder() == tmp_path / "usual" / "segfast-edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().parts[-2:] == (".cache", "segfast-edge")


@pytest.mark.slow
def test_a_wheel_is_gathered_for_another_processor_and_only_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path))
    try:
        folder = gather(["flatbuffers", "pillow"], BOOKWORM)
    except TargetError as error:
        pytest.skip(f"no package index: {error}")
    assert list((folder / "PIL").glob("_imaging.*aarch64*.so"))
    assert bool(list(folder.rglob("*.pyc"))) == (sys.version_info[:2] == BOOKWORM.python)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert gather(["pillow", "flatbuffers"], BOOKWORM) == folder
