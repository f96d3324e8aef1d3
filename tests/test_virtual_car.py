"""The power taken from a computer with its own kernel and systemd; minutes, and only where qemu and mmdebstrap are."""

import json
import subprocess
import sys

import pytest
from tiny_runner import ROOT

sys.path.insert(0, str(ROOT / "tools/virtual_car"))  # for ``image``


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_car_computer_recovers_from_power_cuts():
    from image import missing_tools

    if missing_tools():
        pytest.skip(f"{missing_tools()[0]} is missing; tools/virtual_car says what to install")
    words = ["--scenario", "running_cut", "--scenario", "upgrade_cut", "--scenario", "damaged", "--json"]
    command = [sys.executable, ROOT / "tools/virtual_car", *words, "--patience-s", "900"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["scenario"] for row in rows] == ["install", "running_cut", "upgrade_cut", "damaged"]
    assert all(row["recovered"] == row["tries"] > 0 for row in rows)
