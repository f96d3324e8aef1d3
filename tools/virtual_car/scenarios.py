"""What happens to a car computer: each scenario leaves it running a release that was well, and says what it saw."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from car import Car
from image import CarError

_STATE = "/var/lib/segfast-edge"
_RUN = ("--service", "systemd", "--input", "test:64x48", "--option=--rate=2", "--option=--deadline-ms=60000")
_RUN += (
    "--option=--stuck-s=60",
    "--output",
    "masks:masks,keep=50",
    "--output",
    "video:drive.avi",
    "--output",
    "web:8080",
)


@dataclass(frozen=True, slots=True)
class Bundles:
    """Two sound releases: their files, their names, and the key that they are signed with."""

    old: Path
    new: Path
    names: tuple[str, str]
    public_key: Path


@dataclass(frozen=True, slots=True)
class Deploy:
    """Runs ``segfast-edge deploy`` on a car, in a process of its own."""

    car: Car
    bundles: Bundles
    health_s: int

    def start(self, bundle: Path, *words: str) -> "subprocess.Popen[str]":
        """Begin; the caller waits, or takes the power away."""
        command = [sys.executable, "-m", "segfast_edge", "deploy", str(bundle), "--host", "car", *words]
        command += ["--trust", str(self.bundles.public_key), "--health-s", str(self.health_s)]
        environment = {**os.environ, "SEGFAST_SSH": self.car.ssh_command}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def whole(self, bundle: Path, *words: str) -> None:
        """Deploy to the end; CarError if that fails."""
        child = self.start(bundle, *words)
        said = child.communicate()[0]
        if child.returncode != 0:
            raise CarError(f"deploy failed: {said.strip().splitlines()[-1]}")


def install(deploy: Deploy, _: random.Random) -> str:
    """Install on a bare car, and look at what the service may do."""
    deploy.whole(deploy.bundles.old, *_RUN)
    car = deploy.car
    _expect(car.wait_for("running release", car.runs) == deploy.bundles.names[0], "the release does not run")
    _expect(car.output("ps -o user= -C python3 | sort -u | head -1") != "root", "the runner is root")
    _expect(car.output("stat -c %a /opt/segfast-edge/config.json") == "600", "others can read the configuration")
    _expect("Warning" not in car.output("journalctl -u segfast-edge -o cat"), "the journal has a warning of Python's")
    car.wait_for("recordings", lambda: car.run(f"ls {_STATE}/masks/*.png {_STATE}/drive.avi").returncode == 0)
    health = car.output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:8080/healthz\").status)'"
    )
    _expect(health == "200", f"/healthz answers {health}")
    score = car.output("systemd-analyze security segfast-edge --no-pager | tail -n 1")
    return score.partition("edge.service: ")[2].strip()


def upgrade_cut(deploy: Deploy, chance: random.Random) -> str:
    """Take the power away somewhere in an installation; one of the two releases runs, and installing goes through."""
    began = time.monotonic()
    child = deploy.start(deploy.bundles.new)
    after_s = chance.uniform(0.05, 1.0) * deploy.health_s
    while child.poll() is None and time.monotonic() - began < after_s:
        time.sleep(0.2)
    done = child.poll() is not None
    deploy.car.power_off()
    child.kill()
    child.communicate()
    deploy.car.power_on()
    release = deploy.car.wait_for("running release", deploy.car.runs)
    _expect(release in deploy.bundles.names, f"release {release} runs, which nobody installed")
    deploy.whole(deploy.bundles.new)
    _expect(deploy.car.runs() == deploy.bundles.names[1], "the new release does not run in the end")
    _back_to_old(deploy)
    which = "new" if release == deploy.bundles.names[1] else "old"
    return f"cut after {after_s:.0f} s{' (it was done)' if done else ''}, then the {which} release"


def running_cut(deploy: Deploy, chance: random.Random) -> str:
    """Take the power away while it records; the same release runs again, and nothing recorded is overwritten."""
    time.sleep(chance.uniform(3, 15))
    names = set(deploy.car.output(f"ls {_STATE} {_STATE}/masks").split())
    deploy.car.power_off()
    deploy.car.power_on()
    deploy.car.wait_for("running release", deploy.car.runs)
    videos = deploy.car.output(f"ls -s {_STATE}/*.avi").splitlines()
    _expect(len(videos) > sum(name.endswith(".avi") for name in names), "the video goes on in the old file")
    return f"{len(videos)} videos"


def damaged(deploy: Deploy, chance: random.Random) -> str:
    """Empty a file of the release as a power cut may; the one before runs, and installing again repairs it."""
    deploy.whole(deploy.bundles.new)
    car = deploy.car
    files = car.output("cd /opt/segfast-edge/current/ && find . -type f -size +0").splitlines()
    name = chance.choice(sorted(files))
    car.output(f"truncate -s 0 /opt/segfast-edge/current/{name} && sync")
    car.power_off()
    car.power_on()
    release = car.wait_for("running release", car.runs)
    _expect(release == deploy.bundles.names[0], f"release {release} runs with {name} empty")
    deploy.whole(deploy.bundles.new)
    _back_to_old(deploy)
    return f"{name} was empty, the release before ran"


def _back_to_old(deploy: Deploy) -> None:
    command = [sys.executable, "-m", "segfast_edge", "deploy", "--rollback", "--host", "car"]
    environment = {**os.environ, "SEGFAST_SSH": deploy.car.ssh_command}
    words = ["--health-s", str(deploy.health_s)]
    subprocess.run([*command, *words], check=True, capture_output=True, env=environment)
    deploy.car.wait_for("old release", lambda: deploy.car.runs() == deploy.bundles.names[0])


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise CarError(otherwise)


SCENARIOS: dict[str, Callable[[Deploy, random.Random], str]] = {
    "install": install,
    "running_cut": running_cut,
    "upgrade_cut": upgrade_cut,
    "damaged": damaged,
}
