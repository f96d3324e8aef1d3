"""A profile on another computer: the device code and the artifact go there, run there, and the report comes back."""

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segfast_edge.contract.instruction_report import CountReport, any_report
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import OVER_SSH, ProfileOptions
from segfast_edge.contract.report import REPORT_VERSION, Report
from segfast_edge.contract.shared.files import write_json
from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.device.code import device_code, target_names
from segfast_edge.errors import TargetError, unknown
from segfast_edge.remote.device_packages import gathered, install
from segfast_edge.remote.job import RECONNECT_S, TIMED_OUT, Command, Ended, job
from segfast_edge.remote.probe import Board, check, refuse_busy, refuse_full
from segfast_edge.remote.ssh import Ssh
from segfast_edge.remote.transfer import copy, size_of, workspace
from segfast_edge.remote.wheels import cache_folder

_SAMPLES = "samples"
_SPARE_S = 120  # to start Python, load and warm up on a slow board, besides the timed runs


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class RemoteProfile:
    """A measurement on another computer.

    ``install`` brings the runtime along. ``even_if_busy`` measures beside other load, which makes the report invalid.
    ``announce`` receives each step as text. ``partial`` is where the samples go if the connection is lost for good;
    the cache folder unless given. ``reconnect_s`` is how long it is tried again.
    """

    target: str
    plan: ProfileOptions = field(default_factory=ProfileOptions)
    install: bool = False
    even_if_busy: bool = False
    announce: Callable[[str], None] = _silent
    partial: Path | None = None
    reconnect_s: float = RECONNECT_S

    def __post_init__(self) -> None:
        if self.target not in target_names():
            raise TargetError(unknown("target", self.target, target_names()))


def profile_remote(artifact: Path, host: str | Ssh, request: RemoteProfile) -> Report | CountReport:
    """Measure an artifact on ``host``, which needs nothing of ours; all that was copied is removed again.

    Whatever stops this process in order (Ctrl-C, SIGTERM, SIGHUP) stops the job there, too. A lost connection does
    not: the job continues, and is taken up again within a minute.

    Raises:
        ArtifactError: the artifact is missing, damaged or of another version.
        UnreachableError: the host cannot be reached, or the connection did not come back.
        TargetError: the host is not the target, is busy or full, lacks Python or the runtime, or the job failed.
    """
    manifest = Manifest.load(artifact)
    ssh = host if isinstance(host, Ssh) else Ssh(host)
    with orderly():
        request.announce(f"looking at {ssh.host}")
        board = check(ssh)
        if not request.even_if_busy:
            refuse_busy(ssh, board)
        packages = []
        if request.install:
            request.announce(f"gathering what {ssh.host} needs")
            found = gathered(request.target, manifest.format, board)
        with _load(artifact, request.plan) as load, workspace(ssh) as folder:
            if request.install:
                request.announce(f"installing on {ssh.host}")
                packages = [install(ssh, board, found, folder)]
            request.announce(f"copying to {ssh.host}")
            refuse_full(ssh, board.free_bytes, size_of(load))
            copy(ssh, board, load, f"{folder}/load")
            return _run(ssh, board, _Place(artifact, folder, packages), request)


@contextlib.contextmanager
def _load(artifact: Path, plan: ProfileOptions) -> Iterator[Path]:
    """Give a folder with all that travels: device code, artifact, and the picture that the plan names."""
    with tempfile.TemporaryDirectory(prefix="segfast-load-") as name:
        folder = Path(name)
        device_code(folder / "code")
        shutil.copytree(artifact, folder / "artifact" / artifact.resolve().name)
        if plan.input:
            try:
                shutil.copyfile(plan.input, folder / Path(plan.input).name)
            except OSError as error:
                raise TargetError(f"cannot read {plan.input}: {error.strerror or error}") from error
        yield folder


@dataclass(frozen=True, slots=True)
class _Place:
    """Where things lie on the device."""

    artifact: Path
    folder: str
    packages: list[str]

    def command(self, board: Board, request: RemoteProfile) -> Command:
        load = f"{self.folder}/load"
        picture = f"{load}/{Path(request.plan.input).name}" if request.plan.input else ""
        plan = replace(request.plan, input=picture, samples=f"{self.folder}/{_SAMPLES}")
        profile = ["profile", f"{load}/artifact/{self.artifact.resolve().name}", "--json", *plan.words()]
        return Command(
            [board.python, "-m", "targets", request.target, *profile],
            limit_s=_SPARE_S + (3 if plan.layers else 2) * plan.max_secs + plan.longest_s,
            watched=_SAMPLES,
            packages=[f"{load}/code", *self.packages],
            variables={"PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1", OVER_SSH: "1"},
            reconnect_s=request.reconnect_s,
        )


def _run(ssh: Ssh, board: Board, place: _Place, request: RemoteProfile) -> Report | CountReport:
    samples: list[float] = []
    command = place.command(board, request)
    try:
        with job(ssh, place.folder, command) as running:
            request.announce(f"measuring on {ssh.host}")
            said_s = time.monotonic()
            for line in running.lines():
                samples.append(float(line))
                if time.monotonic() > said_s + 1:
                    said_s = time.monotonic()
                    request.announce(f"measuring on {ssh.host}: {len(samples)} inferences")
            ended = running.ended()
            if ended.status == 0:
                report = any_report(json.loads(running.result()))
                return _checked(report, board, ssh.host)
        raise _failure(ssh.host, ended, command)
    except TargetError as error:
        if samples and not board.emulated and not ssh.stopped:
            kept = _keep(samples, place.artifact, ssh.host, request, str(error))
            message = f"{error}. The {len(samples)} samples until then are in {kept}, marked partial"
            raise type(error)(message) from error
        raise


def _checked(report: Report | CountReport, board: Board, host: str) -> Report | CountReport:
    """Hold an emulated board to counts: no figure of time from there may leave this function."""
    if board.emulated and not isinstance(report, CountReport):
        raise TargetError(f"{host} is emulated and gave times, which mean nothing; its device code is not ours")
    return report


def _failure(host: str, ended: Ended, command: Command) -> TargetError:
    said = ended.failure("the device process", command.limit_s, prefix="targets: ")
    if ended.status == TIMED_OUT:
        said += ". Lower --max-secs or --num-runs"
    if "Run: pip install" in said and len(command.packages) == 1:  # our own device code's words
        said += ". Or let --install bring it"
    return TargetError(f"{host}: {said}")


def _keep(samples: list[float], artifact: Path, host: str, request: RemoteProfile, reason: str) -> Path:
    """Write the samples of a measurement that did not end, so that nobody can take them for one that did."""
    name = f"{artifact.resolve().name}-{host.rpartition('@')[2]}.partial.json".replace("/", "_")
    path = request.partial or cache_folder() / "partial" / name
    value: dict[str, Any] = {
        "report_version": REPORT_VERSION,
        "partial": True,
        "valid": False,
        "reasons": [reason],
        "artifact": {"name": artifact.resolve().name},
        "target": request.target,
        "host": host,
        "samples_ms": samples,
    }
    write_json(path, value)
    return path
