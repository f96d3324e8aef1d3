"""Deploying over a real ssh: to a bare computer with this processor, and to an emulated Raspberry Pi."""

import json

import pytest
import tiny_artifacts as tiny
import tiny_bundle
from tiny_runner import wait_for

from segfast_edge.cli import main
from segfast_edge.deployment.bundle import BundleRequest, build, parse_platform, prepare
from targets.install.layout import NAME_LENGTH
from targets.install.trust import Trust
from targets.install.unpack import inspect

HERE = "x86_64-3.11-2.36"  # what the virtual computer is


def deploy(board, *words):
    return main(["deploy", *map(str, words), "--host", board.host])


def installed(board, capsys):
    capsys.readouterr()
    assert deploy(board, "--list", "--json") == 0
    return {each["name"]: each for each in json.loads(capsys.readouterr().out)}


@pytest.fixture
def clean(pc):
    yield pc
    pc.shell("kill $(cut -d' ' -f1 ~/segfast-edge/run/pid 2>/dev/null) 2>/dev/null; rm -rf ~/segfast-edge", check=False)


def release(bundle):
    return inspect(bundle, Trust((), unsigned=True)).release[:NAME_LENGTH]


def test_a_bare_computer_gets_everything_with_the_bundle_and_runs_it(clean, tmp_path, capsys):
    bundle = tmp_path / "car.tar.gz"
    request = BundleRequest(tiny_bundle.proven_artifact(tmp_path / "a"), "null", bundle, packages=parse_platform(HERE))
    build(request, tiny_bundle.key())
    run = ("--input", "test:64x48", "--output", "jsonl:/tmp/lines", "--option=--rate=10", "--service", "process")
    assert deploy(clean, bundle, "--trust", tiny_bundle.public(), *run) == 0
    assert "golden frame: 100.000% of labels agree" in capsys.readouterr().err
    assert installed(clean, capsys)[release(bundle)]["current"]
    wait_for(lambda: '"state": "running"' in clean.shell("head -n 1 /tmp/lines"))
    assert clean.shell("ls -d /tmp/segfast-edge.*", check=False) == ""  # nothing of the installer stays

    made = tiny_bundle.variant(tmp_path / "bad", tiny_bundle.dies_later, of=unpacked(bundle, tmp_path))
    bad = tiny_bundle.write(made, tmp_path / "bad.tar.gz")
    assert deploy(clean, bad, "--service", "process", "--health-s", "30") == 2
    assert f"release {release(bundle)} runs again" in capsys.readouterr().err
    assert installed(clean, capsys)[release(bundle)]["current"]
    assert deploy(clean, "--rollback", "--service", "process") == 2
    assert "there is no previous release" in capsys.readouterr().err


def unpacked(bundle, tmp_path):
    from segfast_edge.deployment.bundle import Prepared
    from targets.install.unpack import unpack

    (tmp_path / "sound").mkdir()
    opened = unpack(bundle, Trust((), unsigned=True), tmp_path / "sound")
    for name in ("bundle.json", "bundle.sig"):
        (tmp_path / "sound" / name).unlink()
    return Prepared(tmp_path / "sound", opened.listing)


def test_what_a_computer_lacks_or_does_not_trust_is_said_and_nothing_changes(clean, tmp_path, capsys):
    bundle = tiny_bundle.write(tiny_bundle.prepared(), tmp_path / "car.tar.gz")
    assert deploy(clean, bundle) == 2
    assert "no key is trusted here yet" in capsys.readouterr().err
    assert deploy(clean, bundle, "--trust", tiny_bundle.public()) == 2
    assert "numpy is missing" in capsys.readouterr().err
    assert [each for each in installed(clean, capsys).values() if each["current"]] == []
    assert deploy(clean, bundle, "--trust", tiny_bundle.public(), "--dry-run") == 0


def test_a_bad_bundle_does_not_leave_this_machine(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SEGFAST_SSH", "ssh -F none -p 1")
    bundle = tiny_bundle.write(tiny_bundle.prepared(), tmp_path / "car.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes(bundle.read_bytes()[:-5000])
    for trust in (["--trust", str(tiny_bundle.public())], []):  # without a key here the checksums still tell
        assert main(["deploy", str(tmp_path / "cut.tar.gz"), "--host", "x", *trust]) == 2
        assert "not a whole tar.gz" in capsys.readouterr().err
    assert main(["deploy", str(bundle), "--host", "127.0.0.1", "--unsigned"]) == 2
    assert "cannot reach 127.0.0.1" in capsys.readouterr().err
    for words, message in (
        ([], "name a bundle to install"),
        (["none.tar.gz"], "no bundle at none.tar.gz"),
        ([str(bundle), "--list"], "take no bundle"),
        ([str(bundle), "--trust", "none.pub"], "cannot read key none.pub"),
    ):
        assert main(["deploy", *words, "--host", "x"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.timeout(900)
def test_an_emulated_raspberry_pi_proves_the_model_and_takes_a_broken_bundle_back(
    start_board, tmp_path, capsys, monkeypatch
):
    pytest.importorskip("ai_edge_litert", reason="the artifact is a TFLite file")
    board = start_board("rpi5", "--site", "current")
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
    artifact = tiny.write_artifact(tmp_path / "a", "tflite")
    (tmp_path / "files").mkdir()
    made = prepare(BundleRequest(artifact, "rpi", tmp_path / "x.tar.gz"), tmp_path / "files")
    good = tiny_bundle.write(made, tmp_path / "good.tar.gz")
    bad = tiny_bundle.write(
        tiny_bundle.variant(tmp_path / "bad", tiny_bundle.dies_later, of=made), tmp_path / "bad.tar.gz"
    )
    slow = [f"--option=--{name}" for name in ("rate=1", "stall-s=60", "stuck-s=120", "deadline-ms=600000")]
    run = ("--service", "process", "--health-s", "300", "--input", "test:64x48", *slow)
    assert deploy(board, good, "--trust", tiny_bundle.public(), *run) == 0
    assert "golden frame: 100.000% of labels agree, engine litert" in capsys.readouterr().err
    assert deploy(board, bad, "--service", "process", "--health-s", "120") == 2
    assert f"release {release(good)} runs again" in capsys.readouterr().err
    assert installed(board, capsys)[release(good)]["current"]
