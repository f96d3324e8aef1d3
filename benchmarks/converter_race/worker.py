"""One process of the race: opens one way to run a network, then times it whenever it is told to.

It reads a JSON object from the first line of stdin, answers with what it opened, and then for each line
``{"seconds": s, "runs": n}`` runs for that long and that often at least; on ``{"facts": true}`` it says what was
executed, and ends with its input. The runs go through the device's own code, or for eager and traced torch as a user
would call them.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.errors import SegfastError, TargetError
from targets.common import measure
from targets.common.conditions import Sampler
from targets.common.session import Options
from targets.common.target import choose_engine, target

ROOT = Path("/")
WARM_S = 0.05  # before each window: another process had the caches
SIDE = 1024  # of the square matrices whose product shows the machine's peak
Run = Callable[[], Any]
Facts = Callable[[], dict[str, Any]]


def opened(asked: dict[str, Any]) -> tuple[Run, Facts]:
    """Return what runs one inference or product, and what says how it was executed."""
    kind, threads = asked["kind"], asked["threads"]
    if kind == "product":
        return _product(asked["precision"], threads)
    batch = np.load(Path(asked["case"]) / "frame.npy")[np.newaxis]
    if kind in ("eager", "traced"):
        return _torch(kind, Path(asked["path"]), batch, threads)
    artifact = Path(asked["path"])
    manifest = Manifest.load(artifact)
    _, engine = choose_engine(target(asked["target"]), manifest)
    session = engine.load(artifact, manifest, Options(threads, asked["precision"]))
    return lambda: session.run(batch), lambda: dict(session.facts())


def _torch(kind: str, path: Path, batch: Any, threads: int) -> tuple[Run, Facts]:
    import torch

    torch.set_num_threads(threads)
    if kind == "traced":
        module = torch.jit.load(str(path))
    else:
        from benchmarks.converter_race.defaults import untouched
        from segfast_edge.model.checkpoint import Checkpoint

        module = untouched(Checkpoint.load(path))
    frames = torch.from_numpy(batch)

    def run() -> Any:
        with torch.inference_mode():
            return module(frames).numpy()

    return run, lambda: {"executed_precision": "float32", "versions": {"torch": str(torch.__version__)}}


def _product(precision: str, threads: int) -> tuple[Run, Facts]:
    """Return a product of square matrices: oneDNN's by torch in f32, else OpenVINO's."""
    rng = np.random.default_rng(0)
    left, right = (rng.random((SIDE, SIDE), np.float32) for _ in range(2))
    if precision == "torch f32":
        import torch

        torch.set_num_threads(threads)
        a, b, out = torch.from_numpy(left), torch.from_numpy(right), torch.empty(SIDE, SIDE)
        return lambda: torch.mm(a, b, out=out), lambda: {"executed_precision": "float32"}
    import openvino as ov
    from openvino import opset13 as op

    parameter = op.parameter([SIDE, SIDE], np.float32)
    if precision == "int8":
        zero, one = (op.constant(np.float32(value)) for value in (0, 1))
        values = op.fake_quantize(parameter, zero, one, zero, one, 256)
        whole = op.constant((right * 254 - 127).round().astype(np.int8))
        product = op.matmul(
            values, op.multiply(op.convert(whole, "f32"), op.constant(np.float32(1 / 127))), False, True
        )
        result = op.fake_quantize(product, op.constant(np.float32(0)), op.constant(np.float32(SIDE)), zero, one, 256)
    else:
        result = op.matmul(parameter, op.constant(right), False, True)
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    compiled = ov.Core().compile_model(ov.Model([result], [parameter]), "CPU", hints)
    request = compiled.create_infer_request()

    def facts() -> dict[str, Any]:
        executed = [
            layer.get_rt_info()["runtimePrecision"].astype(str)
            for layer in compiled.get_runtime_model().get_ops()
            if layer.get_rt_info()["layerType"].astype(str) in ("FullyConnected", "MatMul")
        ]
        return {"executed_precision": "+".join(executed)}

    return lambda: request.infer([left], share_inputs=True, share_outputs=True), facts


def window(run: Run, seconds: float, runs: int) -> dict[str, Any]:
    """Warm the caches, then time; return the samples in ms and what else went on."""
    warm_until = time.monotonic() + WARM_S
    run()
    while time.monotonic() < warm_until:
        run()
    with Sampler(ROOT) as sampler:
        latency = measure.single_stream(run, ProfileOptions(num_runs=runs, min_secs=seconds, max_secs=3600))
    said = sampler.summary()
    kept = ("duration_s", "foreign_cpu_share", "alarms", "frequency_mhz")
    return {"samples_ms": [round(each, 5) for each in latency.samples_ms], **{name: said[name] for name in kept}}


def _agreement(asked: dict[str, Any], output: Any) -> float | None:
    if asked["kind"] == "product":
        return None
    return float(np.mean(np.asarray(output) == np.load(Path(asked["case"]) / "labels.npy")))


def main() -> int:
    """Answer line by line."""
    asked = json.loads(sys.stdin.readline())
    try:
        run, facts = opened(asked)
        alike = _agreement(asked, run())
        first = [measure.elapsed_ns(run) for _ in range(3)]
    except (SegfastError, RuntimeError, ValueError, ImportError, OSError) as error:
        reason = str(error) if isinstance(error, TargetError) else f"{type(error).__name__}: {error}"
        print(json.dumps({"failed": reason.partition("\n")[0][:300]}), flush=True)
        return 1
    print(json.dumps({"labels_alike": alike, "about_ms": statistics.median(first) / 1e6}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        said = facts() if order.get("facts") else window(run, order["seconds"], order["runs"])
        said.pop("layers", None)
        print(json.dumps(said), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
