import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import DATA, PAPER, run, settings

from segfast_edge.cli import main
from segfast_edge.errors import SegfastError
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.training.settings import Hardware


def test_a_loss_that_is_not_finite_stops_and_names_epoch_step_and_layer(tmp_path):
    chosen = settings(PAPER.changed({"batch_size": 3}), "tiny_networks:overflowing")
    with pytest.raises(SegfastError, match=r"in epoch 2, step 1: .* layer layers\.1 \(_Overflowing\)"):
        run(chosen, tmp_path / "run")
    state = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert state["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in state["module"].values())


def test_a_folder_that_holds_a_training_is_not_overwritten_unasked(tmp_path):
    run(settings(), tmp_path / "run")
    before = (tmp_path / "run/last.pt").read_bytes()
    with pytest.raises(SegfastError, match=r"holds a training already .* --resume"):
        run(settings(seed=1), tmp_path / "run")
    assert (tmp_path / "run/last.pt").read_bytes() == before
    run(settings(seed=1), tmp_path / "run", overwrite=True)
    assert len(RunFolder(tmp_path / "run").history()) == 3


def test_wrong_input_leaves_no_folder(tmp_path):
    for wrong, message in (
        (replace(settings(), model="segfats"), "Did you mean 'segfast'"),
        (replace(settings(), data="camvit"), "Did you mean 'camvid'"),
        (replace(settings(), data="scenes:train=0"), "no frame in its train split"),
        (replace(settings(), protocol="papre"), "Did you mean 'paper'"),
        (replace(settings(), start=tmp_path / "missing.pt"), "missing.pt"),
        (replace(settings(), hardware=Hardware(device="cuda:99")), "cuda:99"),
        (replace(settings(), hardware=Hardware(device="cpu", precision="fp16")), "needs CUDA"),
    ):
        with pytest.raises(SegfastError, match=message):
            run(wrong, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_teacher_may_be_shipped_weights_and_a_mistyped_one_gets_the_nearest(capsys, tmp_path):
    words = ["train", "--data", DATA, "--size", "32x48", "--epochs", "1", "--device", "cpu"]
    assert main([*words, "--teacher", "camvid-papr-segfast", "--output-dir", str(tmp_path / "a")]) == 2
    assert "Did you mean 'camvid-paper-segfast'" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert main([*words, "--teacher", "camvid-paper-segfast", "--output-dir", str(tmp_path / "a")]) == 0
    assert RunFolder(tmp_path / "a").config()["teacher"].endswith("camvid-paper-segfast.pt")


def test_resuming_refuses_a_damaged_state_and_one_of_another_network(tmp_path):
    run(settings(), tmp_path / "run")
    with pytest.raises(SegfastError, match="does not fit this training"):
        run(settings(model="tiny_networks:normalised"), tmp_path / "run", resume=True)
    state = tmp_path / "run/last.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(SegfastError, match="is damaged"):
        run(settings(), tmp_path / "run", resume=True)


def command(*words):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "segfast_edge", "train", "--device", "cpu", *words]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_saves_exits_130_and_says_how_to_continue(tmp_path):
    place = ("--output-dir", str(tmp_path / "run"))
    child = command("--model", "tiny_networks:plain", "--data", DATA, "--size", "32x48", "--epochs", "100000", *place)
    for line in child.stderr:
        if line.startswith("epoch 2:"):
            child.send_signal(signal.SIGINT)
            break
    out, err = child.communicate(timeout=240)
    assert child.returncode == 130
    assert f"segfast-edge train --output-dir {tmp_path / 'run'} --resume" in err
    assert "Traceback" not in out + err
    done = len(RunFolder(tmp_path / "run").history())
    again = command(*place, "--resume", "--epochs", str(done + 1))
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert f"finished after {done + 1} epochs" in out


def test_resuming_with_another_setting_names_the_flag(tmp_path):
    run(settings(), tmp_path / "run")
    child = command("--output-dir", str(tmp_path / "run"), "--resume", "--lr", "0.5")
    _, err = child.communicate(timeout=240)
    assert child.returncode == 2
    assert "started with --lr 0.001, not 0.5" in err
