"""What to install on a device for an artifact's format: the target's list, less the runtimes of other formats."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from segfast_edge.errors import TargetError
from targets.common.session import engine, engines
from targets.common.target import Target

_LISTS = Path(__file__).parent.parent / "requirements"


def choices(where: Target, model_format: str) -> list[list[str]]:
    """Return lists of pip's requirements, the preferred first; any one of them will do.

    Raises:
        TargetError: the target does not run the format, or has no list of what to install.
    """
    names = where.engines.get(model_format, ())
    listed = _LISTS / f"{where.name}.txt"
    if not names or not listed.is_file():
        known = ", ".join(sorted(where.engines))
        raise TargetError(f"nothing to install for {model_format} on target {where.name}; it runs {known}")
    lines = [line.partition("#")[0].strip() for line in listed.read_text(encoding="utf-8").splitlines()]
    wanted = {_name(line): line for line in lines if line}
    runtimes = {_name(word) for each in engines() for package in engine(each).PACKAGES for word in shlex.split(package)}
    base = [line for name, line in wanted.items() if name not in runtimes or name == "numpy"]
    packages = [shlex.split(package) for each in _installable(names, wanted) for package in engine(each).PACKAGES]
    # the null engine has no package, so what the device side itself needs is all
    return [base + [_closer(word, wanted) for word in words] for words in packages] or [base]


def _installable(names: Sequence[str], wanted: Mapping[str, str]) -> Sequence[str]:
    """Leave out engines that the target's list has nothing of, such as TensorRT, which comes with JetPack.

    Where it has nothing of any, all are left in.
    """
    listed = [each for each in names if any(_name(package) in wanted for package in engine(each).PACKAGES)]
    return listed or names


def _closer(word: str, wanted: Mapping[str, str]) -> str:
    """Return the target's own line for a runtime, which says more of its version; other words stay as they are."""
    return wanted.get(word, word)


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
