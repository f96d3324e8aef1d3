"""Power cuts: what is on the disk when it matters, and what a start makes of a release that the cut has damaged."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import tiny_bundle
from fuzzing import tries
from hypothesis import given
from hypothesis import strategies as st
from syscalls import CALLS, Disk, calls
from tiny_bundle import install, public, variant, write

from targets.install.guard import guard
from targets.install.kill_points import KILL_VARIABLE
from targets.install.layout import NAME_LENGTH, Layout


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Return two sound bundles, ``old`` and ``new``, as path and release."""
    home = tmp_path_factory.mktemp("bundles")
    made = {name: variant(home / name, change) for name, change in
            (("old", lambda _: None), ("new", tiny_bundle.other_release))}  # fmt: skip
    return {name: (write(each, home / f"{name}.tar.gz"), each.release[:NAME_LENGTH]) for name, each in made.items()}


@pytest.fixture(scope="module")
def installed(bundles, tmp_path_factory):
    """Return an installation whose current release is ``new`` and the one before ``old``; not to be changed."""
    root = tmp_path_factory.mktemp("installed") / "car"
    install(bundles["old"][0], root, "--trust", public())
    install(bundles["new"][0], root)
    return root


def current(root):
    return Layout(root).pointed("current")


def self_test(root):
    done = subprocess.run([sys.executable, root / "current/run.py", "--self-test"], capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def files_of(root, release):
    return sorted(path for path in (root / "releases" / release).rglob("*") if path.is_file())


def strace(*options):
    """Return strace's words, or skip where it cannot trace."""
    if shutil.which("strace") is None or subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode:
        pytest.skip("strace is missing, or may not trace here")
    return ["strace", "-f", "-qq", *map(str, options)]


def traced(log, root, *words, kill_at):
    command = [*strace("-y", "-e", f"trace={CALLS}", "-s", 16, "-o", log), sys.executable, "-m", "targets.install"]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {KILL_VARIABLE: kill_at}
    subprocess.run([*command, *map(str, words), "--root", root], env=env, capture_output=True, cwd=tiny_bundle.ROOT)


def left_dirty(log, root, release):
    """Return what a power cut could take of the release and of the installation at the switch, and after it."""
    disk, at_switch = Disk(root), None
    for name, arguments in calls(log):
        if name.startswith("rename") and arguments.endswith(f'"{root}/current"'):
            only_link = disk.dirty.get(str(root)) == f"symlink {root}/.current.new"
            at_switch = {path for path in disk.dirty if not (path == str(root) and only_link)}
        disk.take(name, arguments)
    assert at_switch is not None, "the log has no switch"
    used = (str(root / "releases" / release), str(root / "trusted_keys"))
    single = {str(root / name) for name in ("guard.pyz", "config.json", "pending.json", "releases", "")}
    wanted = {path for path in at_switch if path.startswith(used) or path in single}
    return wanted | {path for path in disk.dirty if path == str(root)}


def test_everything_that_a_release_needs_is_on_the_disk_before_the_switch(bundles, tmp_path):
    root, log = tmp_path / "car", tmp_path / "log"
    install(bundles["old"][0], root, "--trust", public(), "--input", "test:64x48")
    words = (bundles["new"][0], "--service", "process", "--input", "test:32x32")
    traced(log, root, *words, kill_at="switched")
    assert current(root) == bundles["new"][1]
    assert left_dirty(log, root, bundles["new"][1]) == set()
    disk = Disk(root)
    for call in calls(log):
        disk.take(*call)
    assert {str(path) for path in files_of(root, bundles["new"][1])} <= disk.seen  # the log does speak of every file
    assert any(path.endswith(".pyc") for path in disk.seen)
    # and it would notice: without one of its calls, the log tells of a file or folder that is not on the disk
    lines = log.read_text().splitlines(keepends=True)
    syncs = [index for index, line in enumerate(lines) if re.match(r"\d+ +fsync\(.*/\.part/", line)]
    assert len(syncs) > 50
    for index in syncs[:: len(syncs) // 5]:
        (tmp_path / "less").write_text("".join(line for at, line in enumerate(lines) if at != index))
        assert left_dirty(tmp_path / "less", root, bundles["new"][1]) != set()


@pytest.fixture(scope="module")
def copies(installed, tmp_path_factory):
    """Give a function that copies the installation for one example; the copy goes with the next."""
    home = tmp_path_factory.mktemp("copies")

    def copy():
        shutil.rmtree(home / "car", ignore_errors=True)
        shutil.copytree(installed, home / "car", symlinks=True)
        return home / "car"

    return copy


def cut(path, kept, zeroed):
    """Damage a file as a power cut does: cut to a part of its length, or of its length with a hole of zeros."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)] + b"\0" * (len(data) - int(len(data) * kept)) * zeroed)
    return path.read_bytes() != data


@tries(20)
@given(st.data(), st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_release_with_any_file_empty_cut_or_zeroed_is_set_aside_and_the_one_before_runs(
    copies, bundles, data, kept, zeroed
):
    root = copies()
    path = data.draw(st.sampled_from(files_of(root, bundles["new"][1])))
    if not cut(path, kept, zeroed):
        assert guard(root) == ""
        return
    said = guard(root)
    assert f"release {bundles['new'][1]} is damaged" in said
    assert f"back to {bundles['old'][1]}" in said
    assert current(root) == bundles["old"][1]
    assert guard(root) == ""


@tries(3)
@given(st.data(), st.floats(0, 1, exclude_max=True))
def test_installing_a_damaged_release_again_repairs_it_whether_it_was_set_aside_or_is_all_there_is(
    copies, bundles, data, kept
):
    root = copies()
    alone = data.draw(st.booleans())
    path = data.draw(st.sampled_from([each for each in files_of(root, bundles["new"][1]) if each.stat().st_size]))
    if alone:
        shutil.rmtree(root / "releases" / bundles["old"][1])
    cut(path, kept, False)
    said = subprocess.run([sys.executable, root / "guard.pyz"], capture_output=True, text=True, check=True).stderr
    assert ("no other is whole; install one again" if alone else "set aside; back to") in said
    assert (current(root) == bundles["old"][1]) is not alone
    install(bundles["new"][0], root)
    assert current(root) == bundles["new"][1]
    assert guard(root) == ""
    assert self_test(root) == (True, "")
    assert not list((root / "releases").glob(".*"))


def test_a_damaged_release_on_trial_takes_its_configuration_along(bundles, tmp_path):
    root = tmp_path / "car"
    install(bundles["old"][0], root, "--trust", public(), "--input", "test:64x48")
    before = (root / "config.json").read_text()
    env = {**os.environ, KILL_VARIABLE: "switched"}
    install(bundles["new"][0], root, "--service", "process", "--input", "nowhere.png", check=False, env=env)
    assert (root / "config.json").read_text() != before
    (root / "releases" / bundles["new"][1] / "artifact/manifest.json").write_bytes(b"")
    assert "set aside" in guard(root)
    assert (root / "config.json").read_text() == before
    assert not (root / "pending.json").exists()


def test_a_damaged_release_is_left_where_it_is_while_an_installer_is_at_work(copies, bundles):
    root = copies()
    (root / "releases" / bundles["new"][1] / "run.py").write_bytes(b"")
    with Layout(root).locked():
        assert guard(root) == ""
    assert "set aside" in guard(root)


def test_a_sealed_release_gets_no_more_bytecode_that_a_power_cut_could_leave_half_written(copies):
    root = copies()
    for cache in list((root / "current/").resolve().rglob("__pycache__")):
        shutil.rmtree(cache)
    assert self_test(root)[0]
    assert not list((root / "current/").resolve().rglob("*.pyc"))


CHANGES = "rename,symlink,unlink,unlinkat,mkdir,fsync,rmdir"


@pytest.mark.slow
@tries(20)
@given(st.integers(1, 420), st.booleans())
def test_an_installer_killed_at_any_change_of_the_disk_leaves_a_release_that_runs(copies, bundles, count, damaged):
    # killed in the middle of the call; a current release that is damaged is being repaired
    root = copies()
    if damaged:
        (root / "releases" / bundles["new"][1] / "run.py").write_bytes(b"")
        bundle = bundles["new"][0]
    else:
        install(None, root, "--rollback")
        shutil.rmtree(root / "releases" / bundles["new"][1])
        bundle = bundles["new"][0]
    kill = strace("-o", os.devnull, "-e", f"inject={CHANGES}:signal=KILL:when={count}")
    subprocess.run([*kill, sys.executable, "-m", "targets.install", bundle, "--root", root], cwd=tiny_bundle.ROOT)
    guard(root)
    assert self_test(root)[0]
    assert guard(root) == ""
    install(bundle, root)
    assert (current(root), self_test(root)[0]) == (bundles["new"][1], True)
