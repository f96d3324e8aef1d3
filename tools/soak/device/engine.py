"""An engine that fails when it is told to: another engine inside, and a file that says what to do wrong."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from targets.common.session import Options, Session, engine

_INNER = engine(os.environ["SEGFAST_SOAK_ENGINE"])
_FAULT = Path(os.environ["SEGFAST_SOAK_FAULT"])
HANG_S = 3.0


def runtime() -> ModuleType:
    """Import the inner engine's runtime."""
    return _INNER.runtime()


def load(artifact: Path, manifest: Manifest, options: Options) -> "Faulty":
    """Open the artifact with the inner engine."""
    return Faulty(_INNER.load(artifact, manifest, options))


class Faulty:
    """Does what the inner session does, unless the file says ``raise``, ``hang`` or ``wrong``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, batch: Frame) -> RawOutput:
        """Run, or fail as told."""
        fault = _FAULT.read_text().strip() if _FAULT.exists() else ""
        if fault == "raise":
            raise RuntimeError("the device is lost, as asked for")
        if fault == "hang":
            _FAULT.unlink(missing_ok=True)  # once: a hang is told from a slow engine by its length
            time.sleep(HANG_S)
        output = self._session.run(batch)
        return np.full_like(output, 250) if fault == "wrong" else output

    def facts(self) -> Mapping[str, Any]:
        """Return what the inner session says."""
        return self._session.facts()
