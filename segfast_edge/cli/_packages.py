"""The packages that are installed and importable, and the command that installs what a verb lacks."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from segfast_edge.contract.engines import Engine, engine_named, engine_names
from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.shared.endings import failure

ENGINE = "an engine"  # in a verb's NEEDS: any one that runs artifacts
_PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Package:
    """A module that is installed: its version, and why it cannot be imported, or an empty text."""

    version: str
    problem: str


def extra_of(module: str) -> str | None:
    """Return the smallest pip extra that brings a module, as this installation says of itself; None if none does."""
    try:
        lines = importlib.metadata.requires("segfast-edge") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [each for line in lines if (each := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)", line))]
    sizes = Counter(each[2] for each in found)
    extras = {each[2] for each in found if each[1].replace("-", "_").lower() == module}
    return min(sorted(extras), key=lambda extra: sizes[extra], default=None)


def converters() -> dict[str, tuple[str, ...]]:
    """Return the modules that converting takes besides torch, by format, and by format for int8."""
    needed: dict[str, tuple[str, ...]] = {}
    for name in format_names():
        described = format_named(name)
        needed[name] = tuple(map(_module, described.converter))
        needed[f"{name} in int8"] = tuple(map(_module, described.integer_converter))
    return {purpose: modules for purpose, modules in needed.items() if modules}


def _module(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].replace("-", "_")


def command_for(needed: str) -> str:
    """Return the command that installs a module, or an engine."""
    if needed == ENGINE:
        return f"pip install {' '.join(map(repr, light_engines()[0].packages[0]))}"
    extra = extra_of(needed)
    return f"pip install 'segfast-edge[{extra}]'" if extra else f"pip install {needed.replace('_', '-')}"


def light_engines() -> list[Engine]:
    """Return the engines that pip installs and that bring no torch."""
    engines = [engine_named(name) for name in engine_names()]
    return [each for each in engines if each.packages and not each.imports_torch]


def look(modules: Iterable[str]) -> dict[str, Package]:
    """Return those of the modules that are installed, each imported once in a process of its own."""
    here = [module for module in dict.fromkeys(modules) if _found(module)]
    with ThreadPoolExecutor(2) as pool:
        problems = dict(zip(here, pool.map(_problem, here), strict=True))
    names = importlib.metadata.packages_distributions()
    return {module: Package(_version(names.get(module.partition(".")[0], [])), problems[module]) for module in here}


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package of a module that lies in one
        return False


def _version(distributions: list[str]) -> str:
    return importlib.metadata.version(distributions[0]) if distributions else "unknown"


def _problem(module: str) -> str:
    command = [sys.executable, "-c", f"import {module}"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return f"importing it took over {_PATIENCE_S} s"
    return failure("importing it", done.returncode, done.stderr) if done.returncode else ""
