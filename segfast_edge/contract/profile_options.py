"""The options of a measurement: the one list that the toolkit passes on and the device reads."""

import argparse
import re
from dataclasses import dataclass, field, fields, replace
from typing import Any

from segfast_edge.contract.engines import engine_named, engine_names
from segfast_edge.errors import TargetError, unknown

OVER_SSH = "SEGFAST_OVER_SSH"  # set where the device code was started over ssh
BIG, LITTLE = "big", "little"  # cores, by their power
_CORES = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")
_SPARE_S = 60.0  # beyond a sustained run's minutes, for a board that becomes slow
_DESCRIBED = [engine_named(name) for name in engine_names()]
PRECISION_HELP = (
    "; ".join(f"{e.title}: {', '.join(e.precisions)}" for e in _DESCRIBED if e.precisions) + " (default f32)"
)
DEVICE_HELP = "cpu or cuda (default cpu; on a target that prefers its GPU, as a Jetson, cuda if the runtime has it)"
SINGLE_STREAM, CONSTANT_STREAM = SCENARIOS = ("single-stream", "constant-stream")


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """Runs go on until both ``num_runs`` and ``min_secs`` are reached, or ``max_secs`` have gone by."""

    threads: int = _option(0, "threads of the engine; 0 takes all that the process may use")
    engine: str = _option("", f"engine to use instead of the target's choice: {', '.join(engine_names())}")
    precision: str = _option("", PRECISION_HELP)
    device: str = _option("", DEVICE_HELP)
    num_runs: int = _option(100, "timed inferences at least")
    min_secs: float = _option(2.0, "seconds of timed inferences at least")
    max_secs: float = _option(60.0, "seconds after which to stop, whatever is still missing")
    warmup_runs: int = _option(10, "minimum number of warm-up inferences; warm-up goes on until times are stable")
    percentile: float = _option(99.0, "latency percentile to show beside the usual ones")
    scenario: str = _option(SINGLE_STREAM, "single-stream: one after another; constant-stream: frames at a fixed rate")
    target_fps: float = _option(30.0, "frames per second of the constant stream; its deadline is one period")
    pin: str = _option("", "cores to run on, such as 0-1 or 4,6, or big or little: the board's faster or slower cores")
    sustained: float = _option(0.0, "minutes of timed inferences; compares the first minute with the last")
    layers: bool = _option(False, "also time each layer, in a process of its own")
    samples: str = _option("", "file to append each timed inference to as it finishes, in ms, one per line")
    input: str = _option("", "picture for the stages around the network; the artifact's golden frame otherwise")

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "threads": (0, 1024),
            "num_runs": (1, 1_000_000),
            "min_secs": (0, 86_400),
            "max_secs": (0.1, 86_400),
            "warmup_runs": (0, 100_000),
            "percentile": (0, 100),
            "target_fps": (0.1, 10_000),
            "sustained": (0, 1440),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise TargetError(f"--{name.replace('_', '-')} {value:g} is outside {low:g} to {high:g}")
        if self.scenario not in SCENARIOS:
            raise TargetError(unknown("scenario", self.scenario, SCENARIOS))
        if self.sustained and self.scenario != SINGLE_STREAM:
            raise TargetError(f"--sustained runs inferences one after another; leave out --scenario {self.scenario}")
        if self.pin not in ("", BIG, LITTLE):
            core_numbers(self.pin)

    @property
    def longest_s(self) -> float:
        """The most seconds that the timed inferences of the network alone take."""
        return max(self.max_secs, 60 * self.sustained + _SPARE_S if self.sustained else 0.0)

    def for_inferences(self) -> "ProfileOptions":
        """Return the plan of the inferences of the network alone, which last longer in a sustained run."""
        return replace(self, min_secs=60 * self.sustained, max_secs=self.longest_s) if self.sustained else self

    def words(self) -> list[str]:
        """Return the command-line words that give this plan."""
        words: list[str] = []
        for option in fields(self):
            value = getattr(self, option.name)
            if value != option.default:
                words += [f"--{option.name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words


def core_numbers(text: str) -> set[int]:
    """Read cores as the kernel writes them, such as ``0-1,4``.

    Raises:
        TargetError: the text is something else, or a range ends before it begins.
    """
    if not _CORES.fullmatch(text):
        raise TargetError(f"--pin {text}: give cores such as 0-1 or 4,6, or {BIG} or {LITTLE}")
    cores: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first):
            raise TargetError(f"--pin {text}: {part} ends before it begins")
        cores.update(range(int(first), int(last or first) + 1))
    return cores


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` an option for each field of a plan."""
    group = parser.add_argument_group("measurement")
    for option in fields(ProfileOptions):
        names = [f"--{option.name.replace('_', '-')}"]
        if option.name == "threads":
            names.append("--num-threads")
        text = option.metadata["help"] + (f" (default {option.default})" if option.default else "")
        if option.default is False:
            group.add_argument(*names, action="store_true", help=text, dest=option.name)
        else:
            group.add_argument(*names, type=type(option.default), default=option.default, help=text, dest=option.name)


def profile_options_from(args: argparse.Namespace) -> ProfileOptions:
    """Read the options that ``add_profile_arguments`` added."""
    return ProfileOptions(**{option.name: getattr(args, option.name) for option in fields(ProfileOptions)})
