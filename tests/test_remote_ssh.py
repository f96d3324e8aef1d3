"""The ssh transport against a real sshd: errors in ssh's own words, jobs that outlive a connection and end if told."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.errors import TargetError, UnreachableError
from segfast_edge.remote.device_packages import install
from segfast_edge.remote.job import Command, job
from segfast_edge.remote.probe import check, refuse_busy, refuse_full
from segfast_edge.remote.ssh import Ssh, one_word
from segfast_edge.remote.transfer import copy, size_of, workspace

MINUTE = 60
OWN_HAND = "own-hand"


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@contextlib.contextmanager
def login_script(board, text):
    """Have the board's shell read ``text`` first, as a user's own ~/.bashrc would, unless a test's own hand logs in."""
    board.shell(f"cat >.bashrc <<'END'\ncase $BASH_EXECUTION_STRING in *{OWN_HAND}*) return ;; esac\n{text}\nEND")
    try:
        yield
    finally:
        board.shell(f": {OWN_HAND}; rm -rf .bashrc /tmp/few")


@pytest.mark.parametrize("host", ["", "-oProxyCommand=true", "two words", "tab\there"])
def test_what_is_no_host_is_refused_before_ssh_sees_it(host):
    with pytest.raises(TargetError, match="is not a host"):
        Ssh(host)


def test_a_missing_ssh_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("SEGFAST_SSH", "no-such-ssh -F x")
    with pytest.raises(TargetError, match="apt-get install openssh-client"):
        Ssh("pi@board")


def test_an_unreachable_host_is_told_in_the_words_of_ssh(monkeypatch):
    monkeypatch.setenv("SEGFAST_SSH", "ssh -F none -p 1")  # nothing listens on port 1
    with pytest.raises(UnreachableError, match=r"cannot reach 127.0.0.1: .*Connection refused.* Try: ssh"):
        Ssh("127.0.0.1").output("true")


def test_a_wrong_key_is_told_in_the_words_of_ssh(pc, tmp_path, monkeypatch):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    text = pc.ssh_config.read_text().replace(f"{pc.ssh_config.parent}/client_key", str(tmp_path / "key"))
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("SEGFAST_SSH", f"ssh -F {tmp_path / 'config'}")
    with pytest.raises(UnreachableError, match="Permission denied"):
        check(Ssh(pc.host))


def test_an_unknown_host_key_is_refused_because_the_user_said_so(pc, tmp_path, monkeypatch):
    (tmp_path / "known").touch()
    text = pc.ssh_config.read_text().replace(f"{pc.ssh_config.parent}/known_hosts", str(tmp_path / "known"))
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("SEGFAST_SSH", f"ssh -F {tmp_path / 'config'}")
    with pytest.raises(UnreachableError, match="Host key verification failed"):
        check(Ssh(pc.host))


def test_a_host_says_what_it_is(pc):
    board = check(Ssh(pc.host))
    assert board.machine == os.uname().machine
    assert board.name == "pc"
    assert board.python_version == (3, 11)
    assert board.python == "/usr/bin/python3"
    assert board.glibc == (2, 36)
    assert board.cpus == os.cpu_count()
    assert 0 <= board.busy <= 1
    assert board.free_bytes > 1e9
    assert "rsync" in board.tools
    assert not board.emulated
    assert board.jobs == ()


def few_tools(*left_out):
    """Return a login script that leaves programs out of the PATH."""
    names = "|".join(left_out)
    return (
        "mkdir -p /tmp/few; for tool in /usr/bin/*; do case ${tool##*/} in "
        f"{names}) ;; *) ln -sf $tool /tmp/few/ ;; esac; done; PATH=/tmp/few"
    )


def test_a_host_without_python_is_told_what_to_install(pc):
    with login_script(pc, few_tools("python3*")), pytest.raises(TargetError, match=r"has no Python; 3\.10 or newer"):
        check(Ssh(pc.host))


def test_a_host_with_an_old_python_is_refused(pc):
    old = few_tools("python3*") + "\nprintf '#!/bin/sh\\necho 3 8\\n' >/tmp/few/python3; chmod +x /tmp/few/python3"
    with login_script(pc, old), pytest.raises(TargetError, match=r"has Python 3\.8; 3\.10 or newer is needed"):
        check(Ssh(pc.host))


def test_a_host_without_basic_tools_is_told_which(pc):
    with login_script(pc, few_tools("timeout", "setsid")), pytest.raises(TargetError, match="lacks timeout, setsid"):
        check(Ssh(pc.host))


def login_shell(words):
    """Return a login script that makes another program the login shell: sshd starts it as ``SHELL -c COMMAND``."""
    return f'exec {words} -c "$BASH_EXECUTION_STRING"'


def mounted(*options):
    """Return a login script that gives the session its own view of folders: ``/tmp:noexec`` or ``/home/pi:ro``."""
    lines = []
    for each in options:
        folder, _, flag = each.partition(":")
        lines.append(f"mount --bind {folder} {folder} && mount -o remount,bind,{flag} {folder} || exit 99")
    return f"""exec unshare -Urm sh -c '{"; ".join(lines)}; cd; exec dash -c "$0"' "$BASH_EXECUTION_STRING\""""


AWKWARD = "echo 'it'\"'\"'s'; echo \"a!b \\\\ \\$HOME ü\"; # and a comment\necho last"


@pytest.mark.parametrize("shell", ["tcsh", "fish", "dash"])
@pytest.mark.parametrize("by", ["rsync", "tar"])
def test_every_login_shell_will_do(shell, by, pc, tmp_path):
    (tmp_path / "it's").write_text("here")
    with login_script(pc, login_shell(shell)):
        ssh = Ssh(pc.host)
        board = check(ssh)
        assert board.name == "pc"
        if by == "tar":
            board = replace(board, tools=frozenset())
        assert ssh.output(AWKWARD).decode() == "it's\na!b \\ $HOME ü\nlast\n"
        with workspace(ssh) as folder:
            copy(ssh, board, tmp_path, f"{folder}/load")
            assert ssh.fetch(f"{folder}/load/it's") == b"here"
            with job(ssh, folder, shell_job(AWKWARD)) as running:
                assert list(running.lines()) == ["it's", "a!b \\ $HOME ü", "last"]
                assert running.ended().status == 0
        with pytest.raises(TargetError, match=r"^[\w-]*pc: cat: /nowhere: No such file"):
            ssh.fetch("/nowhere")


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_a_script_arrives_as_it_is(text):
    command = one_word(f"printf %s {shlex.quote(text)}")
    assert not set(command.partition(" sh '")[2]) & set("!\n")
    said = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert said.decode() == text


def test_what_login_scripts_print_is_kept_apart(pc, tmp_path):
    (tmp_path / "data").write_bytes(b"content")
    talking = "echo welcome; echo 'motd of the day' >&2; printf 'no end of line'"
    with login_script(pc, talking):
        ssh = Ssh(pc.host)
        board = check(ssh)
        assert board.name == "pc"
        assert ssh.noisy
        with workspace(ssh) as folder:
            assert folder.startswith("/tmp/segfast-edge.")
            copy(ssh, board, tmp_path, f"{folder}/load")  # rsync would end here: is your shell clean?
            assert ssh.fetch(f"{folder}/load/data") == b"content"
            with job(ssh, folder, shell_job("echo one")) as running:
                assert list(running.lines()) == ["one"]
                assert running.ended().status == 0
                assert running.result() == b"one\n"
        with pytest.raises(TargetError, match=r"^[\w-]*pc: cat: /nowhere: No such file"):
            ssh.fetch("/nowhere")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo This account is currently not available.; exit 1", ": it printed 'This account is currently not avail"),
        ("echo please log in at the front desk >&2; exit 1", ": it printed 'please log in at the front desk'"),
        ("exit 0", r" did not run sh\. "),
    ],
    ids=["nologin", "stderr", "silent"],
)
def test_an_account_that_runs_no_commands_is_refused_in_one_line(script, says, pc):
    with (
        login_script(pc, script),
        pytest.raises(TargetError, match=rf"login shell on [\w-]*pc.*{says}.*chsh -s /bin/sh"),
    ):
        check(Ssh(pc.host))


@pytest.mark.parametrize(
    ("mounts", "place"),
    [
        ((), "/home/pi/.cache/segfast-edge"),
        (("/home/pi:noexec",), "/tmp/segfast-edge."),
        (("/home/pi:ro",), "/tmp/segfast-edge."),
        (("/tmp:noexec",), "/home/pi/.cache/segfast-edge"),
        (("/tmp:ro",), "/home/pi/.cache/segfast-edge"),
        (("/home/pi:ro", "/tmp:noexec"), ""),
        (("/home/pi:ro", "/tmp:ro"), ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_runtime_goes_where_libraries_can_be_loaded(mounts, place, pc, tmp_path):
    packages = tmp_path / "site-test"
    packages.mkdir()
    (packages / "module.py").touch()
    script = mounted(*mounts) if mounts else "true"
    with contextlib.ExitStack() as stack:
        stack.callback(pc_clean, pc)
        stack.enter_context(login_script(pc, script))
        ssh = Ssh(pc.host)
        if set(mounts) == {"/home/pi:ro", "/tmp:ro"}:
            with pytest.raises(TargetError, match="no folder for temporary files is writable"):
                check(ssh)
            return
        board = check(ssh)
        folder = stack.enter_context(workspace(ssh))
        if not place:
            with pytest.raises(TargetError, match=r"has no folder for the runtime.*noexec"):
                install(ssh, board, packages, folder)
            return
        path = install(ssh, board, packages, folder)
        assert path.startswith(place)
        assert ssh.output(f"ls {path}") == b"module.py\n"


def pc_clean(board):
    board.shell("rm -rf ~/.cache/segfast-edge/site-test", check=False)


def test_the_devices_own_message_comes_back(pc):
    with pytest.raises(TargetError, match=r"pc: cat: /nowhere: No such file"):
        Ssh(pc.host).fetch("/nowhere")


@pytest.mark.parametrize("by", ["rsync", "tar"])
def test_a_folder_arrives_as_it_is(by, pc, tmp_path):
    ssh = Ssh(pc.host)
    board = check(ssh)
    if by == "tar":
        board = replace(board, tools=frozenset())
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "data").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "empty").touch()
    (tmp_path / "run").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "run").chmod(0o755)
    assert size_of(tmp_path) == 256_000 + 19
    with workspace(ssh) as folder:
        copy(ssh, board, tmp_path, f"{folder}/load")
        assert ssh.fetch(f"{folder}/load/a b/data") == bytes(range(256)) * 1000
        assert pc.shell(f"ls {folder}/load; {folder}/load/run").split() == ["a", "b", "empty", "run", "ran"]
    assert pc.shell("ls -d /tmp/segfast-edge.* 2>/dev/null", check=False) == ""


def test_a_full_disk_is_seen_before_and_during_the_copy(start_board, tmp_path, monkeypatch):
    small = start_board("pc", "--site", "bare", "--disk-mb", "8")
    monkeypatch.setenv("SEGFAST_SSH", small.ssh_command)
    ssh = Ssh(small.host)
    board = check(ssh)
    (tmp_path / "large").write_bytes(os.urandom(12_000_000))
    with pytest.raises(TargetError, match=r"has 8 MB free; 15 MB are needed"):
        refuse_full(ssh, board.free_bytes, size_of(tmp_path))
    with pytest.raises(TargetError, match="No space left on device"), workspace(ssh) as folder:
        copy(ssh, board, tmp_path, f"{folder}/load")
    assert small.shell("ls /tmp").split() == []


@pytest.mark.parametrize("df", ["exit 0", "echo no such disk >&2; exit 1", "echo one two three four"])
def test_a_disk_that_tells_nothing_does_not_hide_why_a_copy_failed(df, tmp_path, monkeypatch):
    here = tmp_path / "bin"  # this computer's own shell stands for the device's
    here.mkdir()
    for name, script in (
        ("ssh", 'for script; do :; done\nexec sh -c "$script"'),
        ("tar", "echo tar: what a pity >&2; exit 2"),
        ("df", df),
        ("tail", f"cat >/dev/null; {df}"),
    ):
        (here / name).write_text(f"#!/bin/sh\n{script}\n")
        (here / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    board = types.SimpleNamespace(tools=frozenset())
    with pytest.raises(TargetError, match=r"^device: tar: what a pity$"):
        copy(Ssh("device"), board, here, str(tmp_path / "there"))


def test_a_workspace_goes_whatever_happens_and_an_old_one_goes_the_next_time(pc):
    ssh = Ssh(pc.host)
    pc.shell("mkdir /tmp/segfast-edge.left; touch -d '2 days ago' /tmp/segfast-edge.left")
    with pytest.raises(ZeroDivisionError), workspace(ssh) as folder:
        assert pc.shell("ls -d /tmp/segfast-edge.*").split() == [folder]
        raise ZeroDivisionError
    assert pc.shell("ls -d /tmp/segfast-edge.* 2>/dev/null", check=False) == ""


def shell_job(text, **settings):
    return Command(["sh", "-c", text], settings.pop("limit_s", MINUTE), **settings)


def test_a_job_is_followed_and_its_end_is_known(pc):
    ssh = Ssh(pc.host)
    command = shell_job('echo "$GREETING"; echo two; echo wrong >&2; exit 7', variables={"GREETING": "it's $HOME"})
    with workspace(ssh) as folder, job(ssh, folder, command) as running:
        lines = list(running.lines())
        ended = running.ended()
        assert running.result().decode().splitlines() == lines
    assert lines == ["it's $HOME", "two"]
    assert (ended.status, ended.errors) == (7, "wrong\n")


def test_a_job_sees_packages_before_the_devices_own(pc):
    ssh = Ssh(pc.host)
    with workspace(ssh) as folder, job(ssh, folder, shell_job("echo $PYTHONPATH", packages=["/a", "/b c"])) as running:
        assert list(running.lines()) == ["/a:/b c:/opt/site"]


def test_a_job_that_takes_too_long_is_ended_there(pc):
    ssh = Ssh(pc.host)
    with workspace(ssh) as folder, job(ssh, folder, shell_job("echo on; sleep 71", limit_s=1)) as running:
        assert list(running.lines()) == ["on"]
        assert running.ended().status == 124
    assert pc.shell("pgrep -f '[s]leep 71'", check=False) == ""


def test_a_second_job_finds_the_board_busy(pc):
    ssh = Ssh(pc.host)
    with workspace(ssh) as folder, job(ssh, folder, shell_job("sleep 72")):
        board = check(ssh)
        assert len(board.jobs) == 1
        with pytest.raises(
            TargetError, match=rf"another segfast-edge job is running there \(process {board.jobs[0]}\)"
        ):
            refuse_busy(ssh, board)
    assert check(ssh).jobs == ()


def test_a_dropped_connection_is_taken_up_again_without_loss(pc):
    ssh = Ssh(pc.host)
    waiting = "case $i in 5|20) while [ ! -e dropped$i ]; do sleep 0.1; done ;; esac"
    counting = f"for i in $(seq 1 40); do echo $i; {waiting}; done"
    lines = []
    with workspace(ssh) as folder, job(ssh, folder, shell_job(counting)) as running:
        for line in running.lines():
            lines.append(line)
            if line in ("5", "20"):
                # the server's end of the connection that follows the job
                pc.shell(f"kill -9 $(ps -o ppid= -C tail) && touch {folder}/dropped{line}")
        assert running.ended().status == 0
        assert running.reconnections >= 2
    assert lines == [str(i) for i in range(1, 41)]


def test_a_connection_that_does_not_come_back_is_given_up(start_board, monkeypatch, caplog):
    board = start_board("pc", "--site", "bare", "--disk-mb", "16")
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
    ssh = Ssh(board.host)
    lines = []
    with (
        pytest.raises(UnreachableError, match="cannot reach"),
        workspace(ssh) as folder,
        job(ssh, folder, shell_job("echo one; sleep 73", reconnect_s=1)) as running,
    ):
        for line in running.lines():
            lines.append(line)
            board.shell("kill -9 $(pgrep -f '[n]ative/sshd')", check=False)  # which is the end of this board
    assert lines == ["one"]
    assert "may go on until its time limit" in caplog.text
    assert "was not removed" in caplog.text


INTERRUPTED = """
import sys
from segfast_edge.remote.job import Command, job
from segfast_edge.remote.ssh import Ssh
from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.remote.transfer import workspace
ssh = Ssh(sys.argv[1])
with orderly(), workspace(ssh) as folder, job(ssh, folder, Command(["sh", "-c", sys.argv[2]], 600)) as running:
    for line in running.lines():
        print(line, flush=True)
"""


@pytest.mark.parametrize(
    ("number", "obedient"),
    [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGHUP, True), (signal.SIGTERM, False)],
)
def test_when_the_local_side_is_stopped_nothing_is_left_on_the_device(number, obedient, pc):
    stubborn = "" if obedient else "trap '' TERM; "
    tree = f"{stubborn}sleep 74 & echo on; sleep 74; sleep 74"
    command = [sys.executable, "-c", INTERRUPTED, pc.host, tree]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout.readline() == "on\n"
    assert len(pc.shell("pgrep -x sleep").split()) == 2
    child.send_signal(number)
    assert child.wait(240) != 0
    child.stdout.close()
    assert pc.shell("pgrep -x 'sleep|tail|timeout'", check=False) == ""
    assert pc.shell("ls -d /tmp/segfast-edge.* 2>/dev/null", check=False) == ""


def test_stop_from_another_thread_ends_the_work_and_lets_only_cleaning_start(pc):
    ssh = Ssh(pc.host)
    with (
        pytest.raises(TargetError, match="stopped before the work on"),
        workspace(ssh) as folder,
        job(ssh, folder, shell_job("echo on; sleep 75")) as running,
    ):
        for _ in running.lines():
            ssh.stop()
    assert pc.shell("pgrep -x sleep", check=False) == ""
    assert pc.shell("ls -d /tmp/segfast-edge.* 2>/dev/null", check=False) == ""
    with pytest.raises(TargetError, match="stopped"):
        ssh.output("true")


def test_orderly_turns_termination_into_an_interrupt_and_puts_the_handler_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), orderly():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before
