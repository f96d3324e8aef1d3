"""``segfast-edge doctor``."""

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segfast_edge.cli._packages import Package

HELP = "show what is installed, what each verb still lacks and the command that installs it"
EXAMPLE = "segfast-edge doctor --json"

BASE = ("numpy", "PIL", "rich", "jinja2", "shtab")
OPTIONAL = ("tensorboard",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Look, and print what was found."""
    from segfast_edge.cli._progress import status

    with status("importing each package once"):
        found = _examine()
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found)
    return 0


def _examine() -> dict[str, Any]:
    import os
    import platform

    from segfast_edge import __version__
    from segfast_edge.cli import needs_of, verbs
    from segfast_edge.cli._packages import ENGINE, look
    from segfast_edge.contract.engines import engine_named, engine_names
    from segfast_edge.device.cpu_features import cpu_features, cpu_model

    needs = {verb: needs_of(verb) for verb in verbs()}
    engines = {name: engine_named(name).modules for name in engine_names() if engine_named(name).modules}
    named = [module for purposes in needs.values() for modules in purposes.values() for module in modules]
    modules = [*BASE, *sum(engines.values(), ()), *(each for each in named if each != ENGINE), *OPTIONAL]
    packages = look(modules)
    usable = {module for module, package in packages.items() if not package.problem}
    running = sorted(name for name, choices in engines.items() if usable & {*choices})
    return {
        "segfast_edge": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver()).strip()}",
        "machine": platform.machine(),
        "processor": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_features": cpu_features(platform.machine()),
        "packages": {name: {"version": each.version, "problem": each.problem} for name, each in packages.items()},
        "engines": running,
        "verbs": {verb: _lacks(purposes, packages, running) for verb, purposes in needs.items()},
    }


def _lacks(
    purposes: Mapping[str, tuple[str, ...]], packages: Mapping[str, "Package"], engines: list[str]
) -> list[dict[str, Any]]:
    """Return what a verb lacks, by what it lacks it for, each with the command that installs it."""
    from segfast_edge.cli._packages import ENGINE, command_for

    lacks = []
    for purpose, modules in purposes.items():
        usable = {name for name, package in packages.items() if not package.problem} | ({ENGINE} if engines else set())
        missing = [module for module in modules if module not in usable]
        commands = list(dict.fromkeys(map(command_for, missing)))
        if missing:
            lacks.append({"for": purpose, "missing": missing, "commands": commands})
    return lacks


def _show(found: Mapping[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from segfast_edge.cli._console import console
    from segfast_edge.device.cpu_features import FEATURES

    screen = console()
    about = f"segfast-edge {found['segfast_edge']}, Python {found['python']}, {found['system']}"
    processor = f"{found['processor'] or 'processor unknown'} ({found['machine']}), {found['cores']} cores usable"
    screen.print(about, processor, sep="\n", highlight=False)
    features = Table("processor", "has it", "what it is")
    for name, here in found["cpu_features"].items():
        features.add_row(name, "yes" if here else "no", FEATURES[found["machine"]][name])
    packages = Table("package", "version", "problem")
    for name, package in found["packages"].items():
        packages.add_row(name, package["version"], escape(package["problem"]))
    verbs = Table("verb", "lacks", "run")
    for name, lacks in found["verbs"].items():
        missing = "\n".join(f"{', '.join(each['missing'])}, for {each['for']}" for each in lacks)
        commands = "\n".join(dict.fromkeys(command for each in lacks for command in each["commands"]))
        verbs.add_row(name, escape(missing) or "nothing", escape(commands))
    for table in (features, packages, verbs):
        if table.row_count:
            screen.print(table)
