"""The fixture that no test may leave a process behind it, tried on tests that do."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = """
import os, subprocess, sys
import leftovers
leftovers.PATIENCE_S = 0.5

def sleeper(**how):
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **how)

def test_clean():
    child = sleeper()
    child.kill()
    child.wait()

def test_a_child():
    global kept
    kept = sleeper()

def test_a_daemon_of_its_own_session():
    subprocess.run([sys.executable, "-c", '''
import os, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), file=open(%(pid)r, "w"), flush=True)
    time.sleep(600)
while not os.path.exists(%(pid)r):
    pass
'''], check=True)

def test_a_child_that_knows_nothing_of_the_environment():
    global other
    other = sleeper(env={})

def test_clean_again():
    pass
"""


def test_a_test_that_leaves_a_process_fails_and_the_process_is_ended(tmp_path):
    pid = tmp_path / "pid"
    (tmp_path / "test_tried.py").write_text(TESTS % {"pid": str(pid)})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "leftovers", "-p", "no:cacheprovider", "test_tried.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True
    )
    assert "5 passed, 3 errors" in done.stdout, done.stdout
    for name in ("test_a_child", "test_a_daemon_of_its_own_session", "test_a_child_that_knows_nothing"):
        assert f"ERROR test_tried.py::{name}" in done.stdout
    assert done.stdout.count("the test left processes behind: ") >= 3
    assert not Path(f"/proc/{pid.read_text().strip()}/cmdline").exists() or not _runs(int(pid.read_text()))


def _runs(pid):
    return b"time.sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
