"""A camera's password stays where it has to be: looked for in files, arguments, logs, status, page and metrics."""

import contextlib
import json
import os
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import tiny_bundle
from tiny_bundle import install, public, variant, write
from tiny_runner import wait_for

from segfast_edge.cli import main
from segfast_edge.contract.shared.durable import replace_durably
from segfast_edge.errors import SegfastError
from targets.install.guard import guard
from targets.install.kill_points import KILL_VARIABLE
from targets.install.layout import Layout
from targets.install.service_manager import Process
from targets.runner.inputs import InputOptions, open_input

CANARY = "canary-7c1f"
CAMERA = f"http://driver:{CANARY}@127.0.0.1:9/stream?x=1"  # nothing listens on port 9


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write(variant(tmp_path_factory.mktemp("b") / "v"), tmp_path_factory.mktemp("b") / "car.tar.gz")


@pytest.fixture
def root(tmp_path):
    yield tmp_path / "car"
    with contextlib.suppress(FileNotFoundError):
        Process(Layout(tmp_path / "car"), sys.executable).stop()


def readable_by_others(root):
    """Return the files below a folder that somebody else may read and that hold the password."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and CANARY.encode() in path.read_bytes():
            found += [path.name] if stat.S_IMODE(path.stat().st_mode) & 0o077 else []
    return found


def arguments():
    """Return what the running processes were started with."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


def test_a_cameras_password_is_in_no_argument_log_status_page_or_metric(bundle, root, tmp_path):
    config = {"input": CAMERA, "outputs": ["web:0", "jsonl:lines"], "options": ["--stall-s=0.5"]}
    replace_durably(tmp_path / "config.json", json.dumps(config).encode(), mode=0o600)
    words = ("--config", tmp_path / "config.json", "--service", "process", "--health-s", "20", "--well-s", "3")
    command = [sys.executable, "-m", "targets.install", bundle, "--root", root, "--trust", public(), *words]
    with subprocess.Popen(
        list(map(str, command)), cwd=tiny_bundle.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        said, seen = [], []
        for line in child.stdout:
            said.append(line)
            seen += [each for each in arguments() if CANARY in each]
    assert child.returncode == 0, said
    assert seen == []
    assert not any(CANARY in line for line in said)
    assert readable_by_others(root) == []
    assert stat.S_IMODE((root / "config.json").stat().st_mode) == 0o600
    log = wait_for(lambda: text if "source lost" in (text := (root / "run/log").read_text()) else "")
    port = int(log.rpartition("live page at http://127.0.0.1:")[2].partition("/")[0])
    pages = [urllib.request.urlopen(f"http://127.0.0.1:{port}/{each}").read() for each in ("status.json", "metrics")]
    with pytest.raises(urllib.error.HTTPError) as health:  # there is no frame
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz")
    with health.value as answer:
        pages.append(answer.read())
    pages += [(root / "run/status.json").read_bytes(), (root / "lines").read_bytes(), log.encode()]
    assert not any(CANARY.encode() in page for page in pages)
    assert b"127.0.0.1:9" in pages[0]  # while the camera itself is named


def test_a_configuration_that_is_replaced_or_restored_stays_private(bundle, root):
    install(bundle, root, "--trust", public(), "--input", CAMERA)
    other = {**os.environ, KILL_VARIABLE: "configured"}
    install(bundle, root, "--service", "process", "--input", "test:64x48", check=False, env=other)
    assert (root / "pending.json").exists()
    assert readable_by_others(root) == []
    guard(root)
    assert readable_by_others(root) == []
    assert json.loads((root / "config.json").read_text())["input"] == "test:64x48"  # its trial began before it


@pytest.mark.parametrize(
    "text", [CAMERA, f"http://driver:{CANARY}@host:99999/", f"http://x:{CANARY}@", f"rtsp://x:{CANARY}@127.0.0.1:9/a",
             f"http://a:{CANARY}/x@[::1/", f"ftp://a:{CANARY}@host/", f"HTTP://x:a@{CANARY}@a..b/"],
)  # fmt: skip
def test_no_refusal_of_an_input_repeats_its_password(text, capfd):
    with pytest.raises(SegfastError) as refusal:
        open_input(text, InputOptions(silence_s=0.5)).connect()
    assert CANARY not in str(refusal.value)
    out, errors = capfd.readouterr()
    assert CANARY not in out + errors


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "cannot read configuration"),
        ("[]", 'must have "input"'),
        ('{"outputs": []}', 'must have "input"'),
        ('{"input": "0", "outputs": "web:1"}', 'must have "input"'),
        ('{"input": "0", "inputs": []}', 'must have "input"'),
        ('{"input": "0", "options": [1]}', 'must have "input"'),
    ],
)
def test_a_configuration_of_another_form_is_refused_before_anything_is_there(bundle, root, tmp_path, value, message):
    (tmp_path / "config.json").write_text(value)
    done = install(bundle, root, "--trust", public(), "--config", tmp_path / "config.json", check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr
    assert not list((root / "releases").glob("*"))


def test_deploy_sends_the_password_in_a_file_and_not_as_an_argument(bundle, tmp_path, monkeypatch):
    fake = tmp_path / "ssh"  # runs the commands here, and writes down what it was asked
    after_host = 'while [ "$1" != car ]; do shift; done; shift'  # rsync gives the command in several words
    fake.write_text(f'#!/bin/sh\n{after_host}\necho "$*" >>{tmp_path}/asked\nexec sh -c "$*"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("SEGFAST_SSH", str(fake))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    wrapper = tmp_path / "bin/python3"  # the device's Python, which has what the self-test needs
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    words = ["deploy", str(bundle), "--host", "car", "--root", str(tmp_path / "car"), "--trust", str(public())]
    assert main([*words, "--service", "none", "--input", CAMERA, "--output", "web:0"]) == 0
    asked = (tmp_path / "asked").read_text()
    assert "install.pyz" in asked
    assert CANARY not in asked
    assert json.loads((tmp_path / "car/config.json").read_text())["input"] == CAMERA
    assert readable_by_others(tmp_path) == []
