"""``python -m targets TARGET VERB ARTIFACT ...``: the device side's command line."""

import platform
import sys

OLDEST = (3, 10)  # JetPack 6; the rest does not import on anything older, so it is imported after the check


def start() -> int:
    """Run the command line, or say that this Python is too old for it."""
    if sys.version_info[:2] < OLDEST:
        print(f"targets: Python {platform.python_version()} is too old; 3.10 or newer is needed", file=sys.stderr)
        return 2
    from targets.common.commands import main

    return main()


if __name__ == "__main__":
    raise SystemExit(start())
