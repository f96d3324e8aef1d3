"""The soak as CI runs it: three minutes of faults by seed, and nothing lost."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from tiny_runner import ROOT

MINUTES = os.environ.get("SEGFAST_SOAK_MINUTES", "3")


@pytest.mark.slow
@pytest.mark.timeout(float(MINUTES) * 60 + 180)
def test_the_runner_survives_faults_at_random_and_loses_nothing(tmp_path):
    report = tmp_path / "soak.json"
    command = [sys.executable, ROOT / "tools/soak", "--minutes", MINUTES, "--report", report]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    found = json.loads(report.read_text())
    assert found["failures"] == []
    assert found["frames"]["out"] > 100
    assert found["frames"]["in_flight"] == 0
    assert len(found["lives"]) == 4
    assert found["refusals_of_a_damaged_model"] == 1
    if float(MINUTES) >= 3:
        compiler = shutil.which("gcc") or shutil.which("cc")  # without one the date does not jump
        assert len(found["faults"]) == 15 + (compiler is not None)  # every kind at least once
