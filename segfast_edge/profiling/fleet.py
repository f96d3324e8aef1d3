"""Several devices at once, as a fleet file names them."""

import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from segfast_edge.contract.instruction_report import CountReport
from segfast_edge.contract.report import Report
from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.errors import SegfastError, TargetError, UnreachableError, unknown
from segfast_edge.profiling.local import Measurements, distinct_names, named
from segfast_edge.profiling.over_ssh import RemoteProfile, profile_remote
from segfast_edge.remote.ssh import Ssh

_KEYS = ("name", "host", "target")


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a fleet: what to call it, how ssh reaches it, and what kind of computer it is."""

    name: str
    host: str
    target: str


def read_fleet(path: Path) -> list[Device]:
    """Read a TOML file with a table ``[[device]]`` for each, with ``name``, ``host`` and ``target``.

    Raises:
        TargetError: no such file, not TOML, a key missing or unknown, or a name or host given twice.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(f"cannot read fleet file {path}: {error.strerror}") from error
    except ValueError as error:
        raise TargetError(f"fleet file {path} is not TOML: {error}") from error
    for key in content:
        if key != "device":
            raise TargetError(f"fleet file {path}: {unknown('key', key, ['device'])}")
    entries = content.get("device")
    if not isinstance(entries, list) or not entries:
        raise TargetError(f"fleet file {path} has no [[device]] with {', '.join(_KEYS)}")
    devices = [_device(path, entry) for entry in entries]
    for kind, values in (("name", [each.name for each in devices]), ("host", [each.host for each in devices])):
        if len(set(values)) != len(values):  # two measurements at once on one host would disturb each other
            raise TargetError(f"fleet file {path} gives a {kind} twice: {', '.join(values)}")
    return devices


def _device(path: Path, entry: Any) -> Device:
    if not isinstance(entry, dict):
        raise TargetError(f"fleet file {path}: device {entry!r} is not a table; write [[device]] for each")
    for key in entry:
        if key not in _KEYS:
            raise TargetError(f"fleet file {path}: {unknown('key', key, _KEYS)}")
    missing = [key for key in _KEYS if not isinstance(entry.get(key), str) or not entry[key].strip()]
    if missing:
        raise TargetError(f"fleet file {path}: a [[device]] lacks {', '.join(missing)} (each is a text)")
    return Device(entry["name"], entry["host"], entry["target"])


def measure(devices: Sequence[Device], artifacts: Sequence[Path], request: RemoteProfile) -> Measurements:
    """Measure artifacts on every device at once, on each one after another; one that fails does not stop the others.

    A device that cannot be reached is given up; an artifact that fails on a device leaves the others to it.

    ``request.target`` is replaced by each device's own. What stops this process stops the jobs on all devices first.
    """
    hosts = [Ssh(device.host) for device in devices]
    _refuse_same(devices, hosts)
    requests = [replace(request, target=device.target) for device in devices]
    with orderly(), ThreadPoolExecutor(max_workers=len(devices)) as pool:
        try:
            running = [
                pool.submit(_measure_one, device, ssh, artifacts, its)
                for device, ssh, its in zip(devices, hosts, requests, strict=True)
            ]
            results = [each.result() for each in running]
        except BaseException:
            for ssh in hosts:
                ssh.stop()
            raise
    reports = tuple(report for result in results for report in result.reports)
    return Measurements(reports, tuple(line for result in results for line in result.failures))


def _refuse_same(devices: Sequence[Device], hosts: Sequence[Ssh]) -> None:
    """Raise TargetError if two devices are one computer under two names: measuring on both at once disturbs both."""
    if len(hosts) < 2:
        return
    places = [ssh.address() for ssh in hosts]
    for (one, (here, port)), (other, (there, other_port)) in combinations(zip(devices, places, strict=True), 2):
        if here & there and port == other_port:
            raise TargetError(
                f"{one.name} ({one.host}) and {other.name} ({other.host}) are one computer: {min(here & there)}, port"
                f" {port}. Name it once"
            )


def _measure_one(device: Device, ssh: Ssh, artifacts: Sequence[Path], request: RemoteProfile) -> Measurements:
    names = distinct_names(artifacts)
    reports: list[Report | CountReport] = []
    failures: dict[Path, str] = {}
    for artifact in artifacts:
        if artifact in failures:
            continue  # a later round of what failed in an earlier one
        try:
            report = named(profile_remote(artifact, ssh, request), names[artifact])
            reports.append(replace(report, machine={**report.machine, "device": device.name}))
        except SegfastError as error:
            which = f"{names[artifact]}: " if len(names) > 1 and not isinstance(error, UnreachableError) else ""
            failures[artifact] = f"{device.name}: {which}{error}"
            if isinstance(error, UnreachableError):
                break
    return Measurements(tuple(reports), tuple(dict.fromkeys(failures.values())))
