"""The profile of one artifact on this machine, in this process: cold start, latency, stages, memory, conditions."""

import os
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from segfast_edge import __version__
from segfast_edge.contract.instruction_report import CountReport
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import CONSTANT_STREAM, ProfileOptions
from segfast_edge.contract.report import PROCESSOR, Latency, Report
from segfast_edge.contract.shared.images import Frame, read_frame
from segfast_edge.contract.sustained import sustained
from segfast_edge.contract.validity import reasons
from segfast_edge.errors import TargetError
from targets.common import affinity, emulated, measure
from targets.common.adapted import adapted
from targets.common.conditions import Sampler
from targets.common.layer_timing import trace_apart
from targets.common.machine import describe, process_age_ms
from targets.common.measured_picture import measured_picture
from targets.common.memory import MemoryMeter
from targets.common.segment import mask_of, network_input
from targets.common.session import CheckedSession, EngineModule, Options, refuse
from targets.common.target import Target, choose_engine, preferring, refuse_elsewhere

_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is measured."""

    artifact: Path
    manifest: Manifest
    engine_name: str
    engine: EngineModule
    options: Options

    @classmethod
    def choose(cls, where: Target, artifact: Path, plan: ProfileOptions) -> "_Subject":
        manifest = Manifest.load(artifact)
        name, engine = choose_engine(where, manifest, plan.engine or None)
        options = preferring(where, Options.of(plan))
        refuse(name, options)
        return cls(artifact, manifest, name, engine, options)

    def load(self) -> CheckedSession:
        session = self.engine.load(self.artifact, self.manifest, self.options)
        return CheckedSession(adapted(session, self.manifest, self.engine_name), self.manifest, self.engine_name)

    def facts(self, session: CheckedSession) -> dict[str, Any]:
        """Return the report's fields that say what ran."""
        said = session.facts()
        manifest = self.manifest
        return {
            "artifact": {
                "name": self.artifact.resolve().name,
                "format": manifest.format,
                "precision": manifest.precision,
                "layer_precisions": said.get("layer_precisions", {}),
                "executed_layers": said.get("executed_layers", []),
                "sha256": manifest.files[manifest.model_file],
                "bytes": sum((self.artifact / name).stat().st_size for name in self._model_files()),
                "input_shape": list(manifest.input.shape),
                "output_kind": manifest.output_kind,
                "network": manifest.provenance.get("network"),
                **({"plan": said["plan"]} if "plan" in said else {}),
            },
            "engine": self.engine_name,
            "executed_precision": said["executed_precision"],
            "executed_device": said.get("executed_device", PROCESSOR),
            "threads": self.options.thread_count,
            "versions": {**said["versions"], "segfast-edge": __version__},
            "torch_imported": "torch" in sys.modules,
        }

    def _model_files(self) -> list[str]:
        return [name for name in self.manifest.files if name.startswith("model.")]


@dataclass(frozen=True, slots=True)
class _Timed:
    """What the timed runs gave."""

    latency: Latency
    stages: dict[str, Latency]
    stream: dict[str, Any]
    conditions: dict[str, Any]  # power where it is known, and when each sample was there
    gpu: Latency | None


class _Notes:
    """What is noted after each run, outside its timer: when it ended, and what it took on the GPU by its own clock."""

    def __init__(self, session: CheckedSession, sampler: Sampler) -> None:
        self._session, self._sampler = session.session, sampler
        self._gpu_ms: list[float] = []
        self._ends: dict[str, list[float]] = {"latency": [], "end_to_end": []}

    def inference(self) -> None:
        self._ends["latency"].append(self._sampler.now_s())
        last = getattr(self._session, "gpu_ms", None)
        if last is not None:
            self._gpu_ms.append(last)

    def frame(self) -> None:
        self._ends["end_to_end"].append(self._sampler.now_s())

    def gpu(self) -> Latency | None:
        return Latency(tuple(self._gpu_ms)) if self._gpu_ms else None

    def ends_s(self) -> dict[str, list[float]]:
        """Return when each sample of a series was there, on the clock of the conditions' timeline."""
        return {name: [round(each, 4) for each in ends] for name, ends in self._ends.items() if ends}


def profile(where: Target, artifact: Path, plan: ProfileOptions, root: Path = _ROOT) -> Report | CountReport:
    """Measure an artifact, or on an emulated board count; ``root`` is where the sensors' files lie.

    Raises:
        TargetError: this machine is not the target, or the engine is missing.
        ArtifactError: the artifact is missing, damaged or of another version.
    """
    refuse_elsewhere(where, root)
    if emulated.facts(root):
        return _counted(where, artifact, plan, root)
    affinity.pin(plan.pin, root)
    subject = _Subject.choose(where, artifact, plan)
    with measured_picture(artifact, subject.manifest, plan) as picture:
        batch = network_input(read_frame(picture), subject.manifest)
        meter = MemoryMeter(root)
        session, start = _cold_start(subject, batch, meter)
        warm = measure.warm_up(partial(session.session.run, batch), plan)
        meter.phase_ends("warm-up")
        with Sampler(root) as sampler:
            timed = _timed(session, picture, plan, sampler)
        meter.phase_ends("timed runs")
        memory = meter.memory(shared_with_gpu=where.memory_shared_with_gpu)
    conditions = {"frame": str(plan.input or picture.name), **sampler.summary(), **timed.conditions}
    if plan.pin:
        conditions["pinned_cores"] = sorted(os.sched_getaffinity(0))
    if plan.sustained:
        conditions["sustained"] = sustained(timed.latency.samples_ms, conditions)
    traced = trace_apart(where, artifact, plan) if plan.layers else None
    if traced is not None:
        conditions["layers"] = traced.conditions
    return Report(
        target=where.name,
        layers=() if traced is None else traced.layers,
        warm_up=warm,
        latency=timed.latency,
        gpu=timed.gpu,
        stages=timed.stages,
        stream=timed.stream,
        memory=memory,
        conditions=conditions,
        reasons=reasons(timed.latency, conditions),
        machine=describe(root),
        **start,
        **subject.facts(session),
    )


def _counted(where: Target, artifact: Path, plan: ProfileOptions, root: Path) -> CountReport:
    """Count instructions on one thread; nothing is timed on an emulated board."""
    if plan.threads > 1:
        raise TargetError(f"{plan.threads} threads on an emulated board; instructions are counted on 1 only")
    if plan.layers or plan.scenario == CONSTANT_STREAM:
        wish = "--layers" if plan.layers else f"--scenario {CONSTANT_STREAM}"
        raise TargetError(
            f"{wish} on an emulated board, where a time means nothing. Leave it out to count instructions"
        )
    subject = _Subject.choose(where, artifact, replace(plan, threads=1))
    with measured_picture(artifact, subject.manifest, plan) as picture:
        batch = network_input(read_frame(picture), subject.manifest)
    subject.engine.runtime()
    session = subject.load()
    runs = emulated.count(partial(session.session.run, batch))
    facts = subject.facts(session)
    told = {name: facts[name] for name in ("artifact", "engine", "executed_precision", "versions")}
    return CountReport(target=where.name, runs=runs, machine=describe(root), **told)


def _cold_start(subject: _Subject, batch: Frame, meter: MemoryMeter) -> tuple[CheckedSession, dict[str, Any]]:
    """Import, load and run once; return the session and what each took."""
    import_ns = measure.elapsed_ns(subject.engine.runtime)
    meter.phase_ends("import")
    before_load = time.perf_counter_ns()
    session = subject.load()
    load_ns = time.perf_counter_ns() - before_load
    meter.phase_ends("load")
    first_ns = measure.elapsed_ns(partial(session.run, batch))
    cold_start_ms = process_age_ms()
    meter.phase_ends("first inference")
    steps = {"import_ms": import_ns / 1e6, "load_ms": load_ns / 1e6, "first_inference_ms": first_ns / 1e6}
    return session, {**steps, "cold_start_ms": cold_start_ms}


def _timed(session: CheckedSession, picture: Path, plan: ProfileOptions, sampler: Sampler) -> _Timed:
    """Time the network alone and then whole frames, or a constant stream of frames that are in memory already."""
    frame, notes = read_frame(picture), _Notes(session, sampler)
    if plan.scenario == CONSTANT_STREAM:
        start_s = sampler.take()
        stages, stream = measure.constant_stream(partial(_stages, session, frame), plan, after=notes.inference)
        power = _power(sampler, start_s, len(stages["inference"].samples_ms))
        return _Timed(stages["inference"], stages, stream, {**power, "ends_s": notes.ends_s()}, notes.gpu())
    start_s = sampler.take()
    run = partial(session.session.run, network_input(frame, session.manifest))
    latency = measure.single_stream(run, plan.for_inferences(), after=notes.inference)
    power, on_gpu = _power(sampler, start_s, len(latency.samples_ms)), notes.gpu()
    stages = measure.staged(partial(_read_and_stages, session, picture), plan, after=notes.frame)
    return _Timed(latency, stages, {}, {**power, "ends_s": notes.ends_s()}, on_gpu)


def _power(sampler: Sampler, start_s: float, frames: int) -> dict[str, float]:
    end_s = sampler.take()
    watts = sampler.mean_watts(start_s, end_s)
    return {} if watts is None else {"watts": watts, "energy_per_frame_j": watts * (end_s - start_s) / frames}


def _stages(session: CheckedSession, frame: Frame) -> dict[str, int]:
    """Take a frame in memory to its mask; return the nanoseconds of each stage."""
    start = time.perf_counter_ns()
    batch = network_input(frame, session.manifest)
    prepared = time.perf_counter_ns()
    raw = session.session.run(batch)
    inferred = time.perf_counter_ns()
    mask_of(raw, session.manifest, frame)
    done = time.perf_counter_ns()
    return {"preprocess": prepared - start, "inference": inferred - prepared, "postprocess": done - inferred}


def _read_and_stages(session: CheckedSession, picture: Path) -> dict[str, int]:
    """Take a picture file to its mask."""
    start = time.perf_counter_ns()
    frame = read_frame(picture)
    return {"read": time.perf_counter_ns() - start} | _stages(session, frame)
