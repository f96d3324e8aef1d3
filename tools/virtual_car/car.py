"""A computer with a power switch: qemu in software, on an overlay of the image, so that each car begins anew."""

import contextlib
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from image import CarError, Image

STATUS = "/run/segfast-edge/status.json"


class Car:
    """One car; its disk keeps what the guest forced to it when the power goes."""

    def __init__(self, image: Image, folder: Path, *, patience_s: float, cpu: str = "max") -> None:
        self._image = image
        self._folder = folder
        self._patience_s = patience_s
        self._cpu = cpu
        self._port = _free_port()
        self._machine: subprocess.Popen[bytes] | None = None
        self._disk = folder / "run.qcow2"
        base = ["-b", str(image.folder / "disk.img"), "-F", "raw", str(self._disk)]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base], check=True)
        (folder / "ssh_config").write_text(
            f"Host car\n  HostName 127.0.0.1\n  Port {self._port}\n  User root\n  IdentityFile {image.folder / 'key'}\n"
            "  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  ConnectTimeout 30\n"
        )

    @property
    def ssh_command(self) -> str:
        """What ``SEGFAST_SSH`` has to be for ``segfast-edge deploy --host car``."""
        return f"ssh -F {self._folder / 'ssh_config'}"

    def power_on(self) -> None:
        """Switch it on and wait until it can be reached."""
        words = ["-accel", "tcg,thread=multi", "-cpu", self._cpu, "-m", "1024", "-smp", "2", "-nographic", "-no-reboot"]
        words += ["-kernel", str(self._image.folder / "vmlinuz"), "-initrd", str(self._image.folder / "initrd.img")]
        words += ["-drive", f"file={self._disk},format=qcow2,if=virtio,cache=writeback"]
        words += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{self._port}-:22"]
        words += ["-append", "console=ttyS0 root=/dev/vda rw quiet"]
        with (self._folder / "console").open("ab") as console:
            self._machine = subprocess.Popen(
                ["qemu-system-x86_64", *words], stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )
        self.wait_for("a connection", lambda: self.run("true").returncode == 0)

    def power_off(self) -> None:
        """Take the power away at once."""
        if self._machine is not None:
            self._machine.kill()
            self._machine.wait()
            self._machine = None

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a shell script there."""
        command = [*self.ssh_command.split(), "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "car", script]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=self._patience_s)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 255, "", "no answer")

    def output(self, script: str) -> str:
        """Return what a script wrote, which must end well."""
        done = self.run(script)
        if done.returncode != 0:
            raise CarError(f"'{script[:60]}' failed in the car: {done.stderr.strip() or done.returncode}")
        return done.stdout.strip()

    def status(self) -> dict[str, Any]:
        """Return the runner's status if it is fresh and of this start of the car, {} otherwise."""
        said = self.run(f"cat {STATUS} && cut -d' ' -f1 /proc/uptime")
        with contextlib.suppress(ValueError):
            text, _, uptime = said.stdout.strip().rpartition("}")
            status: dict[str, Any] = json.loads(text + "}")
            return status if float(uptime) - status["at_ns"] / 1e9 < 20 else {}
        return {}

    def runs(self) -> str | None:
        """Return the release that gives results now, None if there is none."""
        status = self.status()
        return status["release"] if status.get("state") == "running" else None

    def wait_for(self, what: str, condition: Any) -> Any:
        """Return the first true value of ``condition``; CarError once patience is over."""
        until = time.monotonic() + self._patience_s
        while time.monotonic() < until:
            if self._machine is not None and self._machine.poll() is not None:
                raise CarError(f"the car ended while {what} was waited for; see {self._folder / 'console'}")
            if value := condition():
                return value
            time.sleep(1)
        raise CarError(f"no {what} within {self._patience_s:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
