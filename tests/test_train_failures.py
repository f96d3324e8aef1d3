"""What a training says when memory, a loading process or a file fails: one line with what to do."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import CPU, FULL, PAPER, Recorder, run, settings
from torch import multiprocessing

from segfast_edge.cli import main
from segfast_edge.errors import DataError, SegfastError
from segfast_edge.training import loading
from segfast_edge.training.distributed import has_unused_weights
from segfast_edge.training.fitting import advice
from segfast_edge.training.run_folder import RunFolder


def test_running_out_of_memory_is_answered_with_what_fits_and_that_works(tmp_path):
    chosen = settings(PAPER.changed({"batch_size": 8}), "tiny_networks:hungry")
    with pytest.raises(SegfastError, match=r"with 8 frames at once; 2 at once fit.*--resume --accumulate 4,"):
        run(chosen, tmp_path / "run")
    words = [
        "train",
        "-o",
        str(tmp_path / "run"),
        "--resume",
        "--accumulate",
        "4",
        "--device",
        "cpu",
        "--num-workers",
        "0",
    ]
    assert main(words) == 0
    assert len(RunFolder(tmp_path / "run").history()) == 3


def test_the_parts_that_are_advised_divide_the_frames_and_fit():
    def fits_three(count):
        if count > 3:
            raise torch.OutOfMemoryError

    for frames, parts, expected in ((8, 1, 4), (12, 1, 4), (6, 1, 2), (7, 1, 7), (16, 2, 8)):
        assert f"--accumulate {expected}," in advice(frames, parts, fits_three)


def test_a_frame_that_never_fits_is_said_so():
    def never(count):
        raise torch.OutOfMemoryError

    assert "not even one fits. Choose a smaller --size" in advice(4, 1, never)


class Dying:
    """A dataset whose loading process ends itself by ``number``."""

    def __init__(self, number):
        self.number, self.count = number, 4

    def __len__(self):
        return 4

    def __getitem__(self, key):
        if multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), self.number)
        return torch.zeros(4, 4, 3, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)

    ready = False


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            signal.SIGKILL,
            r"ended with signal SIGKILL: it was killed, usually because memory ran out. .*--resume.*workers 1",
        ),
        (signal.SIGBUS, r"ended with signal SIGBUS: /dev/shm is full.*--shm-size"),
    ],
)
def test_a_loading_process_that_dies_is_named_with_its_signal(number, message):
    batches = loading.loader(Dying(number), [[(0, 0)], [(0, 1)]], workers=1, cuda=False)
    with pytest.raises(SegfastError, match=message):
        list(batches)


@pytest.fixture
def pictures(tmp_path):
    for split, count in (("train", 6), ("val", 2)):
        for kind, shape in (("images", (32, 48, 3)), ("labels", (32, 48))):
            (tmp_path / kind / split).mkdir(parents=True)
            for number in range(count):
                values = np.random.default_rng(number).integers(0, 2, shape, np.uint8)
                Image.fromarray(values).save(tmp_path / kind / split / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_in_mid_training_is_named_in_one_line(tmp_path, pictures, monkeypatch, workers):
    monkeypatch.setattr("segfast_edge.training.batches._free_bytes", lambda: 0.0)  # then files are read in every epoch
    broken = pictures / "images/train/3.png"

    def breaks():
        broken.write_bytes(broken.read_bytes()[:200])

    hardware = replace(CPU, workers=workers)
    chosen = replace(settings(), data="folder", data_root=pictures, protocol="standard", hardware=hardware)
    with pytest.raises(DataError, match=r"images/train/3\.png.*Repair the file.*--resume") as caught:
        run(chosen, pictures / "run", Recorder((1, 3), breaks))
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(broken)
    assert run(chosen, pictures / "run", resume=True).ending == "finished"


def test_more_loading_processes_than_shared_memory_holds_are_refused_and_not_chosen(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 3 * 2 * 64 * 2})())
    examples = Dying(signal.SIGKILL)  # 64 bytes each
    with pytest.raises(SegfastError, match="--num-workers 3 share more than /dev/shm can hold; 2 fit"):
        loading.loader(examples, [[(0, 0), (0, 1)]], workers=3, cuda=False)
    assert loading.loader(examples, [[(0, 0), (0, 1)]] * 9, workers=None, cuda=False).inner.num_workers <= 2


def test_a_training_with_a_shared_memory_of_64_kb_ends_well_or_with_one_line(tmp_path):
    mounted = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*mounted, "true"], capture_output=True).returncode:
        pytest.skip("mounting a small /dev/shm is not allowed here")
    words = [
        sys.executable, "-m", "segfast_edge", "train", "--model", "tiny_networks:plain", "--data",
        "scenes:size=64x64,train=8,val=2", "--size", "64x64", "--recipe", "edge", "--epochs", "1",
        "--warmup-epochs", "0", "--batch-size", "8", "--device", "cpu", "-o", str(tmp_path / "run"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    chosen = subprocess.run([*mounted, *words], env=environment, capture_output=True, text=True, timeout=200)
    assert chosen.returncode == 0, chosen.stderr
    asked = subprocess.run(
        [*mounted, *words, "--overwrite", "--num-workers", "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert asked.returncode == 2
    assert asked.stderr.count("\n") == 1
    assert "--num-workers 2 share more than /dev/shm can hold" in asked.stderr


def test_weights_that_a_network_does_not_use_are_found():
    import tiny_networks

    found = [
        has_unused_weights(make(3), torch.device("cpu"), (16, 16))
        for make in (tiny_networks.plain, tiny_networks.spare)
    ]
    assert found == [False, True]


@pytest.mark.parametrize("epochs", [1, 5])
def test_a_warm_up_that_never_ends_is_refused_before_anything_is_read(tmp_path, epochs):
    chosen = settings(FULL.changed({"epochs": epochs, "warmup_epochs": 5}))
    with pytest.raises(SegfastError, match=f"--warmup-epochs 5 leaves nothing of --epochs {epochs}"):
        run(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()
