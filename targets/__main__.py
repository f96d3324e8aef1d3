"""``python -m targets TARGET VERB ARTIFACT ...``: the device side's command line."""

import importlib.util
import platform
import sys
from pathlib import Path

from segfast_edge import DEVICE_PYTHON


def start() -> int:
    """Run the command line, or say what this Python lacks for it."""
    if sys.version_info[:2] < DEVICE_PYTHON:
        needed = ".".join(map(str, DEVICE_PYTHON))
        print(f"targets: Python {platform.python_version()} is too old; {needed} or newer is needed", file=sys.stderr)
        return 2
    missing = [module for module in ("numpy", "PIL") if importlib.util.find_spec(module) is None]
    if missing:
        print(f"targets: {' and '.join(missing)} missing. Run: pip install numpy pillow", file=sys.stderr)
        return 2
    # imported after the checks, because little else imports without; a counted process imports all of it again
    if sys.argv[2:3] == ["profile"]:
        from targets.common import emulated

        if emulated.needs_counter(Path("/")):
            return emulated.run_counted(sys.argv[1:], Path("/"))
    from targets.cli.commands import main

    return main()


if __name__ == "__main__":
    raise SystemExit(start())
