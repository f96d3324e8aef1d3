"""``python -m segfast_edge``: the same command as ``segfast-edge``."""

import sys

from segfast_edge.cli import main

if __name__ == "__main__":
    sys.exit(main())
