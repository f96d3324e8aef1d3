"""The date as one process sees it, moved at will: a library compiled here and preloaded into that process."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "device" / "clock.c"


class MovableDate:
    """What the runner takes for the date; ``available`` is False without a C compiler."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self.move_to(0)
        compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
        self.available = compiler is not None
        if compiler is not None:
            words = ["-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", str(SOURCE), "-o", str(self._library)]
            subprocess.run([compiler, *words, "-ldl"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that is to see this date."""
        return {"LD_PRELOAD": str(self._library), "SEGFAST_SOAK_CLOCK": str(self._file)} if self.available else {}

    def move_to(self, seconds: int) -> None:
        """Let the date be ``seconds`` ahead of the machine's, or behind where negative, from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))
