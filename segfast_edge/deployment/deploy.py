"""The installer on a device: sent with the bundle, followed line by line, and gone again when it is done."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.deployment.installer_file import NAME, run_here, write_installer
from segfast_edge.errors import TargetError
from segfast_edge.remote.job import Command, job
from segfast_edge.remote.probe import check, refuse_full
from segfast_edge.remote.ssh import Ssh
from segfast_edge.remote.transfer import copy, size_of, workspace

_BUNDLE, _CONFIG = "bundle.tar.gz", "config.json"
_LIMIT_S = 1800.0  # an emulated board takes minutes to unpack and to test
_ALONE_S = 90.0  # longer than a lost connection is tried again


@dataclass(frozen=True, slots=True)
class Deployment:
    """A task on a device: ``words`` for the installer, and the bundle that goes with them, if any.

    ``config`` is the runner's configuration as JSON.
    """

    words: Sequence[str]
    bundle: Path | None = None
    trust: Path | None = None
    unsigned: bool = False
    config: str | None = None

    def trusted(self) -> list[str]:
        """Return the installer's words for the key: the key itself, since the file is on this side."""
        if self.trust is None:
            return ["--unsigned"] if self.unsigned else []
        try:
            return ["--trust", self.trust.read_text(encoding="ascii").strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise TargetError(f"cannot read key {self.trust}: {error}") from error


def deploy(deployment: Deployment, host: str, announce: Callable[[str], None]) -> list[str]:
    """Run the installer on ``host`` and return the lines it wrote; ``announce`` receives each as it comes.

    A dropped connection does not stop it: it continues there, and is followed again within a minute. If nobody comes
    back, it ends there and lets go of the installation; a release that it had switched to stays on trial.

    Raises:
        UnreachableError: the host cannot be reached, or the connection did not come back.
        TargetError: the device lacks something, the bundle is refused, or the release was taken back.
    """
    ssh = Ssh(host)
    with orderly(), tempfile.TemporaryDirectory(prefix="segfast-deploy-") as name:
        load = Path(name)
        installer = write_installer(load)
        words = [*deployment.words, *deployment.trusted()]
        if deployment.bundle is not None:
            _take_along(deployment, installer, load)
        if deployment.config is not None:
            write_private(load / _CONFIG, deployment.config)
        announce(f"looking at {ssh.host}")
        board = check(ssh)
        refuse_full(ssh, board.free_bytes, size_of(load))
        with workspace(ssh) as folder:
            announce(f"copying to {ssh.host}")
            copy(ssh, board, load, f"{folder}/load")
            bundle = [f"{folder}/load/{_BUNDLE}"] if deployment.bundle is not None else []
            if deployment.config is not None:
                words.append(f"--config={folder}/load/{_CONFIG}")
            words = [board.python, f"{folder}/load/{NAME}", *bundle, *words]
            command = Command(words, _LIMIT_S, alone_s=_ALONE_S)
            return _follow(ssh, folder, command, announce)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def _take_along(deployment: Deployment, installer: Path, load: Path) -> None:
    """Put the bundle to what is sent, verified here first, so that a bad one stays here.

    Without a key on this side that is every file's checksum; the signature is then the device's to check.
    """
    assert deployment.bundle is not None
    if not deployment.bundle.is_file():
        raise TargetError(
            f"no bundle at {deployment.bundle}. Make one with: segfast-edge bundle ARTIFACT --key car.key"
        )
    run_here(installer, [str(deployment.bundle), "--verify", *(deployment.trusted() or ["--unsigned"])])
    shutil.copyfile(deployment.bundle, load / _BUNDLE)


def _follow(ssh: Ssh, folder: str, command: Command, announce: Callable[[str], None]) -> list[str]:
    lines: list[str] = []
    with job(ssh, folder, command) as running:
        for line in running.lines():
            lines.append(line)
            announce(line)
        ended = running.ended()
    if ended.status != 0:
        raise TargetError(f"{ssh.host}: {ended.failure('the installer', command.limit_s, prefix='install: ')}")
    return lines
