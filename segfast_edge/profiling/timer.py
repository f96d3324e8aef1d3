"""The latency of an artifact in a second or two, to choose between several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.errors import TargetError
from segfast_edge.profiling.local import profile
from segfast_edge.profiling.over_ssh import RemoteProfile, profile_remote


@dataclass(frozen=True, slots=True)
class Timer:
    """Times artifacts by ``target``'s device code, here or on ``host``; ``install`` may bring the runtime there."""

    target: str = "x86"
    threads: int = 0
    host: str | None = None
    install: bool = False
    num_runs: int = 30
    min_secs: float = 0.5

    @property
    def conditions(self) -> Mapping[str, Any]:
        """Where and how it times."""
        return {"target": self.target, "host": self.host, "threads": self.threads}

    def median_ms(self, artifact: Path, announce: Callable[[str], None]) -> float:
        """Return the median latency in ms of one fresh process.

        Raises:
            TargetError: the runtime is missing or fails there, or the host is emulated and has no clock to trust.
        """
        plan = ProfileOptions(
            self.threads, num_runs=self.num_runs, min_secs=self.min_secs, max_secs=20.0, warmup_runs=5
        )
        if self.host is None:
            return profile(artifact, target=self.target, plan=plan).latency.p50_ms
        report = profile_remote(
            artifact, self.host, RemoteProfile(self.target, plan, install=self.install, announce=announce)
        )
        if not isinstance(report, Report):
            raise TargetError(f"{self.host} is an emulated board, which cannot time anything; tune on a real one")
        return report.latency.p50_ms
