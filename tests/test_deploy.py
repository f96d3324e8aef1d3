"""Installing on this computer: the same code that a device runs, with the power taken away at every step."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_bundle
from tiny_bundle import install, public, variant, write
from tiny_runner import pictures, wait_for

from segfast_edge.errors import TargetError
from targets.install import sandbox
from targets.install.config import written_folders
from targets.install.guard import STARTS, guard
from targets.install.health import Patience, watch
from targets.install.kill_points import KILL_VARIABLE, STEPS
from targets.install.layout import NAME_LENGTH, Layout
from targets.install.service_manager import Process, ServiceManager, Systemd, choose
from targets.install.trial import open_trial, proven
from targets.runner.outputs import kinds

RUN = ("--input", "test:64x48", "--option=--rate=20", "--service", "process", "--health-s", "15", "--well-s", "0.5")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Return bundles by name: two sound ones, and those that fail their self-test, die, or give no result."""
    home = tmp_path_factory.mktemp("bundles")
    changes = {
        "old": lambda _: None,
        "new": tiny_bundle.other_release,
        "wrong": tiny_bundle.bad_model,
        "dies": tiny_bundle.dies_later,
        "blind": tiny_bundle.no_result_later,
    }
    made = {name: variant(home / name, change) for name, change in changes.items()}
    paths = {name: write(each, home / f"{name}.tar.gz") for name, each in made.items()}
    return {name: (path, made[name].release[:NAME_LENGTH]) for name, path in paths.items()}


@pytest.fixture
def root(tmp_path):
    yield tmp_path / "car"
    with contextlib.suppress(FileNotFoundError):
        Process(Layout(tmp_path / "car"), sys.executable).stop()


def current(root):
    return Layout(root).pointed("current")


def self_test(root):
    return subprocess.run([sys.executable, root / "current/run.py", "--self-test"], capture_output=True).returncode


def test_a_release_is_installed_beside_the_old_one_and_can_be_gone_back_to(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    first = install(bundles["new"][0], root)  # the key is known from the first time
    assert f"release {bundles['new'][1]} is installed" in first.stdout
    assert current(root) == bundles["new"][1]
    assert Layout(root).pointed("previous") == bundles["old"][1]
    listed = json.loads(install(None, root, "--list").stdout)
    assert [(each["name"], each["current"], each["previous"]) for each in listed] == [
        (bundles["old"][1], False, True),
        (bundles["new"][1], True, False),
    ]
    install(None, root, "--rollback")
    assert current(root) == bundles["old"][1]
    install(None, root, "--rollback")
    assert current(root) == bundles["new"][1]
    assert self_test(root) == 0


def test_a_bundle_that_is_not_trusted_changes_nothing(bundles, root, tmp_path):
    done = install(bundles["old"][0], root, check=False)
    assert (done.returncode, "no key is trusted here yet" in done.stderr) == (2, True)
    install(bundles["old"][0], root, "--trust", public())
    before = sorted(path.name for path in (root / "releases").iterdir())
    tiny_bundle.new_key(tmp_path / "other.key")
    foreign = write(variant(tmp_path / "v", tiny_bundle.other_release), tmp_path / "f.tar.gz", tmp_path / "other.key")
    done = install(foreign, root, check=False)
    assert (done.returncode, "not trusted here" in done.stderr) == (2, True)
    assert sorted(path.name for path in (root / "releases").iterdir()) == before
    install(foreign, root, "--unsigned")
    assert current(root) != bundles["old"][1]


def test_a_release_that_fails_its_self_test_never_becomes_current(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    done = install(bundles["wrong"][0], root, check=False)
    assert done.returncode == 2
    assert "0.00% of the golden labels agree" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [each.name for each in Layout(root).installed()] == [bundles["old"][1]]  # nor does it stay and fill the disk
    assert current(root) == bundles["old"][1]


def test_a_dry_run_verifies_and_changes_nothing(bundles, root, tmp_path):
    done = install(bundles["old"][0], root, "--trust", public(), "--dry-run")
    assert f"release {bundles['old'][1]} for null: signed by" in done.stdout
    assert not root.exists()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(bundles["old"][0].read_bytes()[:-3000])
    assert install(cut, root, "--trust", public(), "--dry-run", check=False).returncode == 2
    assert install(bundles["old"][0], root, "--trust", public(), "--verify").returncode == 0


def test_an_unpacked_bundle_installs_itself(bundles, root, tmp_path):
    shutil.unpack_archive(bundles["old"][0], tmp_path / "unpacked", filter="data")
    command = [sys.executable, tmp_path / "unpacked/install", "--root", root, "--trust", public()]
    subprocess.run(command, check=True, capture_output=True, cwd="/")
    assert current(root) == bundles["old"][1]
    (tmp_path / "unpacked/run.py").write_text("changed")
    done = subprocess.run([*command[:2], "--root", tmp_path / "b", "--trust", public()], capture_output=True, text=True)
    assert (done.returncode, "run.py is not the file that is listed" in done.stderr) == (2, True)
    again = [sys.executable, root / "current/install", bundles["new"][0], "--root", root]
    subprocess.run(again, check=True, capture_output=True)  # an installation takes the next packed bundle by itself
    assert current(root) == bundles["new"][1]


def test_old_releases_go_but_never_the_current_and_the_previous(bundles, root):
    for name in ("old", "new", "dies"):
        install(bundles[name][0], root, "--trust", public(), "--keep", "1")
    assert {each.name for each in Layout(root).installed()} == {bundles["new"][1], bundles["dies"][1]}


def test_installing_the_same_release_again_is_no_change(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    before = (root / "releases" / bundles["old"][1]).stat().st_ino
    assert "already installed" in install(bundles["old"][0], root).stdout
    assert (root / "releases" / bundles["old"][1]).stat().st_ino == before
    assert Layout(root).pointed("previous") is None


def test_two_installers_do_not_work_at_the_same_time(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    with (root / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = install(bundles["new"][0], root, check=False)
    assert (done.returncode, "another installation is in progress" in done.stderr) == (2, True)


def test_whoever_finds_the_installation_locked_is_told_by_whom_and_for_how_long(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    with Layout(root).locked(75.0):
        done = install(bundles["new"][0], root, check=False)
    assert done.returncode == 2
    assert f"in progress in {root}: process {os.getpid()}, for " in done.stderr
    assert "health check takes up to 75 s; try again then" in done.stderr


def runners_of(root):
    """Return the runners of an installation that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            zombie = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            words = (path / "cmdline").read_bytes().split(b"\0")
            found += [path.name] if not zombie and os.fsencode(root / "current/run.py") in words else []
    return found


def running_release(root):
    """Return the release that says that it runs, if one does."""
    try:
        status = json.loads((root / "run/status.json").read_text())
    except (OSError, ValueError):
        return None
    alive = Path(f"/proc/{status['pid']}").exists() and status["state"] == "running"
    return status["release"] if alive else None


def test_the_service_runs_the_new_release_and_on_what_was_said_once(bundles, root):
    install(bundles["old"][0], root, "--trust", public(), *RUN)
    assert running_release(root) == bundles["old"][1]
    install(bundles["new"][0], root, *RUN[5:])  # the service is known from the first time, too
    assert running_release(root) == bundles["new"][1]
    assert not (root / "pending.json").exists()
    install(None, root, "--rollback", *RUN[5:])
    assert running_release(root) == bundles["old"][1]
    (root / "service.json").write_text("{}")
    done = install(None, root, "--rollback", check=False)
    assert (done.returncode, "names no service; remove it, or pass --service" in done.stderr) == (2, True)


def test_a_release_taken_back_takes_the_configuration_that_came_with_it_along(bundles, root):
    install(bundles["old"][0], root, "--trust", public(), *RUN)
    before = (root / "config.json").read_text()
    words = ("--input", "nowhere.png", "--health-s", "20", "--well-s", "0.5")
    done = install(bundles["new"][0], root, *words, check=False)
    assert (done.returncode, f"release {bundles['old'][1]} runs again" in done.stderr) == (2, True)
    assert (root / "config.json").read_text() == before
    assert running_release(root) == bundles["old"][1]


@pytest.mark.parametrize(("step", "restored_at"), [("configured", 1), ("previous", 1), ("switched", STARTS + 1)])
def test_the_guard_restores_the_configuration_too(bundles, root, step, restored_at):
    install(bundles["old"][0], root, "--trust", public(), "--input", "test:64x48")
    before = (root / "config.json").read_text()
    kill = {**os.environ, KILL_VARIABLE: step}
    install(bundles["dies"][0], root, "--service", "process", "--input", "nowhere.png", check=False, env=kill)
    for _ in range(restored_at):
        assert (root / "config.json").read_text() != before
        guard(root)
    assert (root / "config.json").read_text() == before
    assert current(root) == bundles["old"][1]
    assert not (root / "pending.json").exists()


def killed_at(step, bundle, root, *words):
    """Install and lose the power at a step."""
    kill = {**os.environ, KILL_VARIABLE: step}
    done = install(bundle, root, "--service", "process", *words, check=False, env=kill)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", ["configured", "switched"])
def test_an_installation_run_again_after_a_power_loss_keeps_the_configuration_from_before(bundles, root, step):
    install(bundles["old"][0], root, "--trust", public(), "--input", "test:64x48")
    before = (root / "config.json").read_text()
    for _ in range(2):
        killed_at(step, bundles["dies"][0], root, "--input", "nowhere.png")
    assert json.loads((root / "pending.json").read_text())["config"] == json.loads(before)
    if step == "switched":
        install(None, root, "--rollback", *RUN[3:])
        assert running_release(root) == bundles["old"][1]
    else:  # and one that says nothing of the input does not find that of the one that was cut off
        killed_at(step, bundles["dies"][0], root)
    assert (root / "config.json").read_text() == before
    assert current(root) == bundles["old"][1]


def test_where_there_was_no_configuration_there_is_none_after_a_release_was_taken_back(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    words = ("--service", "process", "--input", "nowhere.png", "--health-s", "20", "--well-s", "0.5")
    done = install(bundles["new"][0], root, *words, check=False)
    assert (done.returncode, "had no configuration, so nothing runs now" in done.stderr) == (2, True)
    assert not (root / "config.json").exists()
    killed_at("switched", bundles["new"][0], root, "--input", "nowhere.png")
    for _ in range(STARTS + 1):
        assert (root / "config.json").exists()
        guard(root)
    assert not (root / "config.json").exists()
    assert current(root) == bundles["old"][1]


@pytest.mark.parametrize("step", ["configured", "switched"])  # before the switch, and after it
def test_a_disk_that_is_full_from_some_step_on_leaves_the_old_release_and_its_configuration(bundles, root, step):
    install(bundles["old"][0], root, "--trust", public(), "--input", "test:64x48")
    before = (root / "config.json").read_text()
    # a file size limit of nothing, from that step on; links have no size, so a folder in the way of one stands in
    code = f"""
import pathlib, resource, sys
import targets.install.installer as installer
from targets.install.__main__ import main
def passed(step):
    if step == {step!r}:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        if step == "configured":
            (pathlib.Path({str(root)!r}) / ".current.new").mkdir()
installer.passed = passed
sys.exit(main(sys.argv[1:]))
"""
    words = ("--service", "process", "--input", "nowhere.png", "--root", root, "--health-s", "20", "--well-s", "0.5")
    command = [sys.executable, "-c", code, bundles["new"][0], *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tiny_bundle.ROOT)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert current(root) == bundles["old"][1]
    assert step != "switched" or "the configuration before it could not be put back" in done.stderr
    assert (root / "config.json").read_text() != before  # there is no room for it yet
    assert runners_of(root) == []  # nor for the number of a process, so that none is left that nobody could end
    guard(root)
    assert (root / "config.json").read_text() == before
    assert not (root / "pending.json").exists()


def test_the_guard_leaves_an_installer_that_is_at_work_alone(bundles, root):
    install(bundles["old"][0], root, "--trust", public(), "--input", "test:64x48")
    kill = {**os.environ, KILL_VARIABLE: "configured"}
    install(bundles["new"][0], root, "--service", "process", "--input", "test:32x32", check=False, env=kill)
    with Layout(root).locked():  # as if it had not been killed, and systemd restarts the old runner now
        before = {name: (root / name).read_text() for name in ("config.json", "pending.json")}
        assert guard(root) == ""
        assert {name: (root / name).read_text() for name in before} == before
    assert guard(root) == ""
    assert not (root / "pending.json").exists()


@pytest.mark.parametrize("bad", ["dies", "blind"])
def test_a_release_that_is_not_well_is_taken_back_and_the_old_one_runs_again(bundles, root, bad):
    install(bundles["old"][0], root, "--trust", public(), *RUN)
    done = install(bundles[bad][0], root, *RUN[3:5], "--health-s", "4", "--well-s", "0.5", check=False)
    assert done.returncode == 2
    reason = (
        "it did not start; the runner ended with status 7"
        if bad == "dies"
        else "its state was no_result the engine failed: RuntimeError: broken"
    )
    assert reason in done.stderr
    assert f"release {bundles['old'][1]} runs again" in done.stderr
    assert current(root) == bundles["old"][1]
    assert running_release(root) == bundles["old"][1]
    assert not (root / "pending.json").exists()


def test_a_release_that_is_late_on_every_frame_is_not_well(bundles, root):
    install(bundles["old"][0], root, "--trust", public(), *RUN)
    words = ("--input", "test:64x48", "--option=--rate=20", "--option=--deadline-ms=0.001", "--health-s", "8")
    done = install(bundles["new"][0], root, *words, "--well-s", "0.5", check=False)
    assert done.returncode == 2
    assert re.search(
        r"every result was late: \d+ ms old in the middle, the deadline is --deadline-ms=0.001", done.stderr
    )
    assert current(root) == bundles["old"][1]
    assert running_release(root) == bundles["old"][1]


def test_the_kind_of_service_is_kept_once_a_release_was_well_with_it(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    words = ("--service", "process", "--input", "nowhere.png", "--health-s", "20", "--well-s", "0.5")
    install(bundles["new"][0], root, *words, check=False)
    assert not (root / "service.json").exists()
    install(bundles["old"][0], root, "--service", "process")
    assert json.loads((root / "service.json").read_text()) == {"kind": "process"}


def test_a_first_release_that_is_not_well_leaves_nothing_running(bundles, root):
    words = (*RUN[:5], "--health-s", "20", "--well-s", "0.5")
    done = install(bundles["dies"][0], root, "--trust", public(), *words, check=False)
    assert "nothing runs" in done.stderr
    assert current(root) is None


def power_on(root):
    """Do what a device does when it is switched on: guard, then the current release's runner."""
    guard(root)
    service = Process(Layout(root), sys.executable)
    service.set_up()
    service.restart()
    return wait_for(lambda: running_release(root), 20)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_power_lost_at_any_step_leaves_the_old_or_the_new_release_running(bundles, root, step):
    install(bundles["old"][0], root, "--trust", public(), *RUN)
    words = ("--service", "process", "--health-s", "15", "--well-s", "0.2")
    done = install(bundles["new"][0], root, *words, check=False, env={**os.environ, KILL_VARIABLE: step})
    assert done.returncode == -signal.SIGKILL
    status = json.loads((root / "run/status.json").read_text()) if (root / "run/status.json").exists() else None
    if status is not None:  # the power is gone for the runner, too
        with contextlib.suppress(ProcessLookupError):
            os.kill(status["pid"], signal.SIGKILL)
    Process(Layout(root), sys.executable).stop()
    expected = bundles["old" if STEPS.index(step) < STEPS.index("switched") else "new"][1]
    assert current(root) == expected
    assert power_on(root) == expected
    install(bundles["new"][0], root, *words)  # and the next attempt goes through, whatever was left lying about
    assert running_release(root) == bundles["new"][1]
    assert not list((root / "releases").glob("*.part"))


def on_trial(root, bundles, release="dies"):
    """Leave an installation as a power loss after the switch does: a bad release is current, and on trial."""
    install(bundles["old"][0], root, "--trust", public())
    kill = {**os.environ, KILL_VARIABLE: "switched"}
    words = ("--service", "process", "--input", "test:64x48")
    assert install(bundles[release][0], root, *words, check=False, env=kill).returncode == -signal.SIGKILL
    assert current(root) == bundles[release][1]


def test_a_bad_release_that_nobody_watches_is_taken_back_after_three_starts(bundles, root):
    on_trial(root, bundles)
    for start in range(1, STARTS + 1):
        assert guard(root) == f"release {bundles['dies'][1]} is on trial, start {start}"
    assert "did not prove itself in 3 starts" in guard(root)
    assert current(root) == bundles["old"][1]
    assert guard(root) == ""
    assert self_test(root) == 0


def test_a_good_release_that_nobody_watches_proves_itself(bundles, root, monkeypatch):
    on_trial(root, bundles, "new")
    monkeypatch.setenv("PYTHONPATH", str(root))
    (root / "sitecustomize.py").write_text(
        "import sys\nif sys.argv[0:1] and 'run.py' in ' '.join(sys.orig_argv):\n"
        "    sys.path.insert(0, sys.orig_argv[1].rpartition('/')[0])\n"
        "    import targets.runner.main_loop as s\n    s.PROVEN_S = 0.5\n"
    )
    assert power_on(root) == bundles["new"][1]
    wait_for(lambda: not (root / "pending.json").exists())
    assert guard(root) == ""


@pytest.mark.parametrize(("named", "left"), [("a" * 16, False), ("b" * 16, True)])
def test_a_release_ends_its_own_trial_and_no_other(tmp_path, named, left):
    layout = Layout(tmp_path)
    layout.pending.write_text(json.dumps({"release": named, "previous": None, "starts": 1}))
    proven(layout, "a" * 16)
    assert layout.pending.exists() is left


def test_the_guard_survives_any_file(tmp_path):
    for text in ("", "{", "[]", '{"release": 1}', '{"release": "x", "previous": "y", "starts": "z"}'):
        (tmp_path / "pending.json").write_text(text)
        assert guard(tmp_path) == ""


def test_a_release_that_reads_its_folder_to_the_end_is_well_and_ends_its_trial(bundles, root, tmp_path):
    folder = pictures(tmp_path / "in", 4)
    install(bundles["old"][0], root, "--trust", public(), "--input", folder, *RUN[3:])
    on_folder = {**os.environ, KILL_VARIABLE: "switched"}
    install(bundles["new"][0], root, "--service", "process", check=False, env=on_folder)
    for _ in range(STARTS + 2):  # switched on so often, nobody watching
        guard(root)
        service = Process(Layout(root), sys.executable)
        service.set_up()
        service.restart()
        assert wait_for(service.ending, 20) == "the runner ended with status 0"
    assert current(root) == bundles["new"][1]
    assert guard(root) == ""


def test_a_folder_of_which_no_picture_can_be_used_is_no_proof(bundles, root, tmp_path):
    folder = pictures(tmp_path / "in", 2)
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    install(bundles["old"][0], root, "--trust", public())
    words = ("--input", folder, "--service", "process", "--health-s", "20", "--well-s", "0.5")
    done = install(bundles["new"][0], root, *words, check=False)
    assert (done.returncode, "no frame could be used" in done.stderr) == (2, True)
    assert current(root) == bundles["old"][1]


def unit(bundles, root, *, user, outputs=()):
    """Install, and return the unit's text for a system's service or a user's."""
    outputs = [f"--output={each}" for each in outputs]
    install(bundles["old"][0], root, "--trust", public(), "--input", "/dev/video0", *outputs, "--service", "none")
    return Systemd(Layout(root), "/usr/bin/python3", user=user).text()


def test_the_unit_is_written_for_this_installation(bundles, root, tmp_path):
    text = unit(bundles, root, user=False, outputs=["web:8080", f"masks:{tmp_path}/a b,keep=5", "jsonl:lines"])
    assert f"ExecStart=/usr/bin/python3 {root}/current/run.py --status-file %t/segfast-edge/status.json" in text
    assert f"ExecStartPre=-+/usr/bin/python3 {root}/guard.pyz" in text
    assert "Type=notify" in text
    assert "User=segfast-edge" in text
    assert f'ReadWritePaths="-{tmp_path}/a b"\n' in text
    assert not re.search(r"@[A-Z]+@", text)
    user = Systemd(Layout(root), "/usr/bin/python3", user=True).text()
    assert f"ExecStartPre=-/usr/bin/python3 {root}/guard.pyz" in user
    assert "ProtectSystem" not in user
    assert not re.search(r"@[A-Z]+@", user)


def test_the_unit_says_nothing_that_systemd_does_not_understand_and_is_a_sandbox(bundles, root):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    path = root / "segfast-edge.service"
    root.mkdir()
    path.write_text(unit(bundles, root, user=False, outputs=['masks:/mnt/100% "usb"', "video:/mnt/v/a.avi"]))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)
    assert "segfast-edge.service" not in done.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", path]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    assert float(re.search(r"Overall exposure level for segfast-edge.service: ([\d.]+)", said)[1]) < 2.5


@pytest.mark.parametrize(
    ("output", "folder"),
    [
        ("masks:/mnt/a,keep=3", "/mnt/a"),
        ("overlays:/mnt/a", "/mnt/a"),
        ("video:/mnt/a/b.avi,fps=3", "/mnt/a"),
        ("jsonl:/mnt/a/b", "/mnt/a"),
        ("masks:a", None),
        ("jsonl:-", None),
        ("web:0.0.0.0:8080", None),
        ("shm:/a", None),
        ("pipe:-", None),
    ],
)
def test_the_folders_that_outputs_write_to_are_known_to_the_service(output, folder):
    assert written_folders({"outputs": [output]}) == ([Path(folder)] if folder else [])


def test_every_kind_of_output_is_known_to_write_to_a_folder_or_not():
    assert set(kinds()) == {"masks", "overlays", "jsonl", "video", "web", "shm", "pipe"}  # else see written_folders


def test_a_folder_is_made_for_the_services_user_and_one_that_is_not_its_own_is_left_to_people(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root gives folders to others")
    sandbox.make_writable(tmp_path / "new/deep", (12345, 12346))
    assert [(tmp_path / each).stat().st_uid for each in ("new", "new/deep")] == [12345, 12345]
    sandbox.make_writable(tmp_path / "new", (12345, 12346))
    with pytest.raises(TargetError, match=f"cannot write {tmp_path}. Run: chown segfast-edge {tmp_path}"):
        sandbox.make_writable(tmp_path, (12345, 12346))
    tmp_path.chmod(0o777)
    sandbox.make_writable(tmp_path, (12345, 12346))
    os.chown(tmp_path / "new", 0, 12346)
    (tmp_path / "new").chmod(0o770)
    sandbox.make_writable(tmp_path / "new", (12345, 12346))
    (tmp_path / "file").write_text("")
    with pytest.raises(TargetError, match="cannot make"):
        sandbox.make_writable(tmp_path / "file/a", (12345, 12346))


def test_a_runner_in_a_sandbox_leaves_word_that_it_is_well_where_it_may_write(bundles, root, tmp_path, monkeypatch):
    on_trial(root, bundles, "new")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert "is on trial, start 1" in guard(root)
    proven(Layout(root), bundles["new"][1])
    assert (root / "pending.json").exists()
    assert guard(root) == f"release {bundles['new'][1]} has proven itself"
    assert not (root / "pending.json").exists()
    assert guard(root) == ""


@pytest.mark.parametrize("proven_release", ["new", "old"])
def test_an_installer_reads_that_word_too(bundles, root, tmp_path, proven_release):
    on_trial(root, bundles, "new")
    (tmp_path / "proven.json").write_text(json.dumps({"release": bundles[proven_release][1]}))
    trial = open_trial(Layout(root), bundles["new"][1], tmp_path / "proven.json")
    assert (trial is None) is (proven_release == "new")
    assert (root / "pending.json").exists() is (proven_release == "old")


@pytest.mark.parametrize(("folder", "python"), [("my car", "/usr/bin/python3"), ("car", "/opt/my python")])
def test_a_path_that_systemd_would_read_otherwise_is_refused_before_anything_is_there(tmp_path, folder, python):
    with pytest.raises(TargetError, match="choose another path"):
        Systemd(Layout(tmp_path / folder), python, user=False)


@pytest.mark.parametrize("room", [0, 5000, 30_000])  # for nothing, for a part of the list, for all but a large file
def test_a_full_disk_leaves_the_old_release_and_nothing_of_the_new(bundles, root, room, tmp_path):
    large = variant(tmp_path / "large", lambda folder: (folder / "MODEL_CARD.md").write_text("x" * 100_000))
    bundle = write(large, tmp_path / "large.tar.gz")
    install(bundles["old"][0], root, "--trust", public())
    before = sorted(str(path) for path in root.rglob("*"))
    command = [sys.executable, "-m", "targets.install", bundle, "--root", root]
    # what Linux calls a file size limit stops each file at ``room`` bytes, as a full disk would
    limited = ["sh", "-c", f'ulimit -f {room // 512}; exec "$@"', "sh", *map(str, command)]
    done = subprocess.run(limited, capture_output=True, text=True, cwd=tiny_bundle.ROOT)
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(str(path) for path in root.rglob("*")) == before
    assert current(root) == bundles["old"][1]


def test_what_cannot_be_set_up_after_the_switch_is_taken_back(bundles, root):
    install(bundles["old"][0], root, "--trust", public())
    (root / "run").write_text("in the way of the service's folder")
    done = install(bundles["new"][0], root, *RUN, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert current(root) == bundles["old"][1]
    assert not (root / "pending.json").exists()


def test_services_are_chosen_by_name_and_refused_clearly(tmp_path):
    layout = Layout(tmp_path)
    assert choose("none", layout, "python3").name == "none"
    assert isinstance(choose("process", layout, "python3"), Process)
    with pytest.raises(TargetError, match="unknown service 'systemctl'"):
        choose("systemctl", layout, "python3")
    if not Path("/run/systemd/system").is_dir():
        with pytest.raises(TargetError, match="systemd does not run here"):
            choose("systemd", layout, "python3")


def test_a_process_whose_number_went_to_another_is_left_alone(tmp_path):
    service = Process(Layout(tmp_path), sys.executable)
    service.set_up()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / "run/pid").write_text(f"{other.pid} 12345")
        service.stop()
        time.sleep(0.1)
        assert other.poll() is None
        other.communicate(b"\n")


@pytest.mark.parametrize(("limit_s", "age_s", "well"), [(3, 10, False), (400, 10, True), (400, 60, False)])
def test_a_status_is_believed_for_longer_where_one_waits_for_a_slow_device(tmp_path, monkeypatch, limit_s, age_s, well):
    now = 1000.0
    status = tmp_path / "status.json"

    def sleep(seconds):
        nonlocal now
        now += seconds
        at_ns = round((now - age_s) * 1e9)
        status.write_text(json.dumps({"release": "r", "pid": 1, "state": "running", "at_ns": at_ns}))

    monkeypatch.setattr("targets.install.health.time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    said = watch(status, "r", Patience(limit_s, 2.0))
    assert (said == "") is well
    assert well or "it stopped saying how it is" in said


@pytest.mark.parametrize(
    ("states", "well"),
    [
        ([("starting", 1)] * 9 + [("running", 1)] * 30, True),
        ([("running", 1)] * 15 + [("no_result", 1)] + [("running", 1)] * 30, True),
        ([("running", 1)] * 15 + [("no_result", 1)] + [("running", 1)] * 15 + [("no_result", 1)] * 99, False),
        ([("running", pid) for pid in range(99)], False),  # it runs, dies and is started again
    ],
)
def test_a_release_is_well_after_two_seconds_without_a_break_whatever_came_before(tmp_path, monkeypatch, states, well):
    now, left = 1000.0, iter(states)
    status = tmp_path / "status.json"

    def sleep(seconds):
        nonlocal now
        now += seconds
        state, pid = next(left, states[-1])
        status.write_text(json.dumps({"release": "r", "pid": pid, "state": state, "at_ns": round(now * 1e9)}))

    monkeypatch.setattr("targets.install.health.time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    assert (watch(status, "r", Patience(9.0, 2.0)) == "") is well


@pytest.mark.parametrize(("limit_s", "well_s"), [(5, 10), (0, 0), (9999, 1)])
def test_patience_out_of_range_is_refused(limit_s, well_s):
    with pytest.raises(TargetError, match="a release must be healthy for"):
        Patience(limit_s, well_s)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a bundle, --rollback or --list"),
        (("--rollback",), "there is no previous release"),
        (("none.tar.gz",), "cannot read bundle none.tar.gz"),
        (("none.tar.gz", "--trust", "none.pub"), "cannot read key none.pub"),
        (("none.tar.gz", "--output", "x"), "--output and --option need --input"),
        (("none.tar.gz", "--keep", "0"), "outside 1 to 1000"),
        (("none.tar.gz", "--unsigned", "--trust", "none.pub"), "not allowed with argument"),
        (("none.tar.gz", "--trust", "none.pub", "--verify", "--unsigned"), "not allowed with argument"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(root, words, message):
    words = [*words, *(() if "none.tar.gz" not in words or "--trust" in words else ("--unsigned",))]
    done = install(None, root, *words, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_disk_without_room_is_told_before_anything_is_written(bundles, root, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: os.statvfs_result((0,) * 10) and _Usage())
    from targets.install.installer import Installer
    from targets.install.trust import Trust

    installer = Installer(Layout(root), ServiceManager(), sys.executable, lambda _: None)
    with pytest.raises(TargetError, match="0 MB free; the bundle needs"):
        installer.install(bundles["old"][0], Trust((), unsigned=True))
    assert list((root / "releases").iterdir()) == []


class _Usage:
    free = 1000
