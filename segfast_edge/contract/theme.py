"""The style sheet that every page shares: the toolkit's own pages and the runner's."""

from pathlib import Path

THEME = Path(__file__).with_suffix(".css")
