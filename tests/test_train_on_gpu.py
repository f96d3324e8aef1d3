"""The plan for a GPU, on the CPU: cut in the middle, continued, and complete."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["segfast_lite", "paper-segfast"]
TRIAL = ["--dry-run", "--data", "scenes:size=32x48,train=2,val=1", "--size", "32x48", "--only", *NAMES]


@pytest.mark.slow
def test_the_plan_goes_on_after_a_cut_and_trains_every_network_once(tmp_path):
    words = [sys.executable, str(ROOT / "tools/train_on_gpu"), *TRIAL, "--output-dir", str(tmp_path / "runs")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line == "paper-segfast: started\n":
                first.send_signal(signal.SIGINT)
    assert first.returncode == 130
    second = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "segfast_lite: started" not in second.stdout
    for name in NAMES:
        records = (tmp_path / "runs" / name / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(record)["epoch"] for record in records] == [1]
        assert (tmp_path / "runs" / name / "best.pt").is_file()
