#!/usr/bin/env python3
"""Run the artifact in this bundle: ./run.py INPUT [OUTPUT...]; without an input, what config.json says."""

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

OLDEST = (3, 10)
HERE = Path(__file__).resolve().parent


def start() -> int:
    """Run, or say what this computer lacks for it."""
    if sys.version_info[:2] < OLDEST:
        print(f"segfast: Python {platform.python_version()} is too old; 3.10 or newer is needed", file=sys.stderr)
        return 2
    # an installed release has its bytecode; what Python added later, a power cut could leave half written
    sys.dont_write_bytecode |= (HERE / "complete.json").exists()
    sys.path[:0] = [str(folder) for folder in (HERE, HERE / "site") if folder.is_dir()]
    missing = [name for name, module in (("numpy", "numpy"), ("pillow", "PIL")) if find_spec(module) is None]
    if missing:
        print(f"segfast: {missing[0]} is missing. Run: pip install -r {HERE}/requirements.txt", file=sys.stderr)
        return 2
    from targets.runner.bundled import main

    return main(str(HERE))


if __name__ == "__main__":
    raise SystemExit(start())
