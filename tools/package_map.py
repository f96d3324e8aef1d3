"""Draw the packages and their imports, as CONTRIBUTING.md shows them.

    python tools/package_map.py           print the drawing (Mermaid)
    python tools/package_map.py --write   put it into CONTRIBUTING.md

The arrows are the imports in the code. An arrow is left out if a longer way leads to the same package: what is drawn is
the fewest arrows over which everything that is imported can be reached.
"""

import argparse
from pathlib import Path

import grimp

from segfast_edge.contract.shared.arguments import ExactParser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- drawn by tools/package_map.py -->\n", "<!-- end of the drawing -->\n"
SIDES = {"segfast_edge": "the toolkit", "targets": "the device code"}
ONE_OF_MANY = "targets.TARGET"  # a file for each kind of computer, all alike
NOT_DRAWN = ("__main__",)


def package_of(module: str) -> str | None:
    """Return the drawn package that a module belongs to, None for one that is not drawn."""
    side, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    if not name or name in NOT_DRAWN:
        return None
    if side == "targets" and (ROOT / side / f"{name}.py").is_file():
        return ONE_OF_MANY
    return f"{side}.{name}"


def arrows() -> dict[str, set[str]]:
    """Return for each package those that it imports."""
    graph = grimp.build_graph(*SIDES)
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        package = package_of(module)
        if package is None:
            continue
        imported = {package_of(each) for each in graph.find_modules_directly_imported_by(module)}
        found.setdefault(package, set()).update(each for each in imported if each not in (None, package))
    return found


def reachable(package: str, found: dict[str, set[str]]) -> set[str]:
    """Return every package that imports lead to."""
    seen: set[str] = set()
    waiting = [package]
    while waiting:
        new = found[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def fewest(found: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Leave out each arrow that a longer way replaces."""
    kept = []
    for package, imported in found.items():
        indirect = set().union(*(reachable(each, found) for each in imported))
        kept += [(package, each) for each in imported - indirect]
    return sorted(kept)


def node(package: str) -> str:
    """Return the package's name in the drawing's language, which wants no dots."""
    return package.replace(".", "_")


def drawing() -> str:
    """Return the Mermaid text."""
    found = arrows()
    lines = ["```mermaid", "flowchart TD"]
    for side, title in SIDES.items():
        lines.append(f'  subgraph {side} ["{side}: {title}"]')
        members = [each for each in sorted(found) if each.startswith(f"{side}.")]
        lines += [f"    {node(each)}[{each.removeprefix(f'{side}.')}]" for each in members]
        lines.append("  end")
    lines += [f"  {node(package)} --> {node(imported)}" for package, imported in fewest(found)]
    lines += [f"  {node('segfast_edge.device')} -. copies and starts .-> targets", "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the drawing, or put it where it belongs."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put it into {DOCUMENT.name}")
    if not parser.parse_args().write:
        print(drawing(), end="")
        return
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + drawing() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
