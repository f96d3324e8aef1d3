"""Packages that a device needs to run an artifact: downloaded here, kept on the device for the next time."""

import json
import shlex
from pathlib import Path
from typing import Any

from segfast_edge.contract.formats import format_named
from segfast_edge.device.spawn import process
from segfast_edge.errors import TargetError
from segfast_edge.remote.probe import PLACES, Board, refuse_full
from segfast_edge.remote.ssh import Ssh
from segfast_edge.remote.transfer import copy, size_of
from segfast_edge.remote.wheels import Platform, gather

# libraries are loaded as programs are: where none may run, they cannot lie
_FIND = rf"""
{PLACES}
kept="${{XDG_CACHE_HOME:-$HOME/.cache}}/segfast-edge"
mkdir -p "$kept" 2>/dev/null && runs "$kept" && cd "$kept" && pwd && exit 0
runs "$workspace" && echo "$workspace"
exit 0
"""


def requirements(target: str, model_format: str) -> list[list[str]]:
    """Ask the device code what ``target`` needs for a format: lists of pip's requirements, the preferred first.

    Raises:
        TargetError: the target does not run the format.
    """
    found: list[list[str]] = _asked(target, ["needs", model_format])
    return found


def usual_platform(target: str) -> Platform:
    """Ask the device code which system ``target`` usually has.

    Raises:
        TargetError: none is usual.
    """
    usual = _asked(target, ["about"])["usual"]
    if usual is None:
        raise TargetError(f"target {target} has no usual computer; say which with --wheels MACHINE-PYTHON-GLIBC")
    (python, glibc) = ((each[0], each[1]) for each in (usual["python"], usual["glibc"]))
    return Platform(usual["machine"], python, glibc)


def _asked(target: str, words: list[str]) -> Any:
    with process(target, words) as child:
        assert child.stdout is not None, "the pipe was asked for"
        said = child.stdout.read()
    try:
        return json.loads(said)
    except ValueError as error:
        raise TargetError(f"the device process gave no answer to {words[0]}: {error}") from error


def gathered(target: str, model_format: str, board: Board) -> Path:
    """Return a local folder with packages that run on ``board``: the first choice that there are wheels for.

    Raises:
        TargetError: there is none, and the message is that of the first choice; or what runs it is too large to send.
    """
    if format_named(model_format).imports_torch:
        raise TargetError("--install does not send torch. Install it on the device, or convert to another format")
    failures: list[TargetError] = []
    for choice in requirements(target, model_format):
        try:
            return gather(choice, board.platform)
        except TargetError as error:
            failures.append(error)
    raise failures[0]


def install(ssh: Ssh, board: Board, packages: Path, workspace: str) -> str:
    """Bring a folder of packages to the device unless it is there from an earlier time; return its path there.

    If the cache folder there is read-only or lets no program run, the packages go to ``workspace`` for this time only.

    Raises:
        UnreachableError: the connection failed; what arrived stays, and the next try continues from there.
        TargetError: the device's disk is full, or no writable folder lets programs run.
    """
    home = ssh.output(f"workspace={shlex.quote(workspace)}\n{_FIND}").decode().strip()
    if not home:
        raise TargetError(
            f"{ssh.host} has no folder for the runtime: its cache folder (XDG_CACHE_HOME or ~/.cache) and {workspace}"
            " are read-only, full or mounted noexec. Mount one with exec, or install the runtime there yourself"
        )
    kept = home != workspace
    path = f"{home}/{packages.name}"
    if ssh.output(f"[ ! -d {shlex.quote(path)} ] || echo there").strip() != b"there":
        refuse_full(ssh, board.home_free_bytes if kept else board.free_bytes, size_of(packages))
        copy(ssh, board, packages, f"{path}.part")
        ssh.output(f"mv {shlex.quote(path)}.part {shlex.quote(path)}")
    return path
