"""Two gloo processes under torchrun against one process, through the command line as users start them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import DATA, same, weights

from segfast_edge.training.run_folder import RunFolder

OPTIONS = (
    "--model", "tiny_networks:plain", "--data", DATA, "--size", "32x48", "--recipe", "edge", "--epochs", "2",
    "--warmup-epochs", "1",
    "--batch-size", "4", "--num-workers", "0", "--device", "cpu", "--precision", "fp32", "--protocol", "standard",
)  # fmt: skip


def train(folder, *launcher):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", *launcher, "segfast_edge", "train", *OPTIONS, "--output-dir", str(folder)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")
def test_two_processes_give_the_result_of_one_with_the_same_global_batch(tmp_path):
    train(tmp_path / "one")
    both = train(tmp_path / "two", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    assert both.stdout.count("finished after 2 epochs") == 1  # only the leading process reports
    one, two = (weights(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    for alone, shared in zip(*(RunFolder(tmp_path / name).history() for name in ("one", "two")), strict=True):
        assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert shared["val"]["pixels"] == alone["val"]["pixels"]
    assert not same(one, weights(tmp_path / "one", "average"))
