"""A disk with Debian 12 on it: systemd, sshd, Python, and a kernel with a V4L2 test camera."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.shared.endings import failure
from segfast_edge.remote.wheels import cache_folder

PACKAGES = ("linux-image-amd64", "systemd-sysv", "openssh-server", "python3", "udev", "iproute2", "rsync", "kmod")
PACKAGES += ("passwd", "v4l-utils")
TOOLS = ("mmdebstrap", "qemu-system-x86_64", "qemu-img", "mkfs.ext4", "ssh-keygen")
_DISK_BYTES = 3 << 30
_FILES = {
    "etc/systemd/network/80-dhcp.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
    "etc/modules-load.d/vivid.conf": "vivid\n",
}
_NETWORKD = "/lib/systemd/system/systemd-networkd.service"


class CarError(Exception):
    """The virtual car cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """A folder with ``disk.img``, ``vmlinuz``, ``initrd.img`` and the ``key`` that ssh needs."""

    folder: Path


def missing_tools() -> list[str]:
    """Return the programs that are needed and not here."""
    return [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


def image() -> Image:
    """Return the image, made the first time.

    Raises:
        CarError: a program is missing, or the packages cannot be had.
    """
    missing = missing_tools()
    if missing:
        packages = "mmdebstrap qemu-system-x86 qemu-utils e2fsprogs openssh-client"
        raise CarError(f"{missing[0]} is missing. Run: apt-get install {packages}")
    folder = cache_folder() / "virtual-car"
    if not (folder / "disk.img").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            _make(folder, Path(name))
    return Image(folder)


def _make(folder: Path, work: Path) -> None:
    root = work / "root"
    root.mkdir()
    include = ",".join(PACKAGES)
    _run("mmdebstrap", "--variant=minbase", f"--include={include}", "bookworm", str(work / "root.tar"))
    _run("tar", "-xf", str(work / "root.tar"), "-C", str(root))
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(next((root / "boot").glob(f"{name}-*")), folder / name)
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service").symlink_to(_NETWORKD)
    if not (folder / "key").is_file():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    (root / "root/.ssh").mkdir(mode=0o700)
    shutil.copyfile(folder / "key.pub", root / "root/.ssh/authorized_keys")
    with (work / "disk.img").open("wb") as disk:
        disk.truncate(_DISK_BYTES)
    _run("mkfs.ext4", "-q", "-F", "-d", str(root), str(work / "disk.img"))
    (work / "disk.img").replace(folder / "disk.img")  # last: its being there says that the image is whole


def _run(*command: str) -> None:
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise CarError(f"the image cannot be made: {failure(command[0], done.returncode, done.stderr)}")
