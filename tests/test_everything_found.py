"""Whatever is added as a file is exercised here: formats, engines, targets, inputs, outputs, datasets, networks.

Each of them but engines and networks has an example, ``examples/KIND/NAME.py``, that says what is to come out.
"""

import contextlib
import importlib
import platform
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny
import tiny_runner
import tiny_tree
import torch

from segfast_edge.contract.engines import engine_named, engine_names
from segfast_edge.contract.formats import format_named, format_names, formats_of, integer_formats
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.images import write_picture
from segfast_edge.data import datasets, open_source
from segfast_edge.data.calibration import Calibration
from segfast_edge.device.spawn import Outputs
from segfast_edge.errors import TargetError
from segfast_edge.export import exporter
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.quantization import Agreement, Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.model import build, description, networks
from targets.common import layer_timing
from targets.common.session import PRECISIONS, Options, installed
from targets.common.target import open_artifact, target, targets
from targets.runner.frames import Notice
from targets.runner.inputs import EndOfInputError, InputLostError
from targets.runner.inputs import kinds as input_kinds
from targets.runner.inputs import open_input as open_input
from targets.runner.outputs import OutputContext, open_output
from targets.runner.outputs import kinds as output_kinds
from targets.runner.telemetry import Telemetry

CHECKPOINT = Path(__file__).parent / "fixtures/version_0_1/checkpoint.pt"
REAL_TARGETS = [name for name in targets() if target(name).only_engine is None]


def example(kind: str, name: str):
    """Return the example of something found; a new file is not done without one."""
    path = Path(__file__).parent / "examples" / kind / f"{name}.py"
    if not path.is_file():
        pytest.fail(f"tests/examples/{kind}/{name}.py is missing: it says what {name} has to give; see CONTRIBUTING.md")
    return importlib.import_module(f"examples.{kind}.{name}")


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


@cache
def checkpoint() -> PreparedNetwork:
    return PreparedNetwork(CHECKPOINT)


def labels_by_hand(frame: np.ndarray) -> np.ndarray:
    """Compute the checkpoint's network in numpy: a 3x3 convolution, ReLU, a 1x1 convolution, the largest score."""
    held = torch.load(CHECKPOINT, weights_only=True)
    weights = {name: value.numpy().astype(np.float64) for name, value in held["weights"].items()}
    preprocess = checkpoint().checkpoint.preprocess
    pixels = (frame / 255 - np.array(preprocess.mean)) / np.array(preprocess.std)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(pixels, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))
    hidden = np.maximum(np.einsum("hwcij,ocij->hwo", windows, weights["0.weight"]) + weights["0.bias"], 0)
    return (hidden @ weights["2.weight"][:, :, 0, 0].T + weights["2.bias"]).argmax(-1)


def agreement(artifact: Path, engine: str) -> float:
    """Run an artifact in a fresh process and return the share of labels that numpy gives as well."""
    frames = [noise(seed) for seed in range(2)]
    named = [(str(number), frame) for number, frame in enumerate(frames)]
    found = list(Outputs(artifact, named, ["--threads", "1", "--engine", engine], "x86"))
    assert len(found) == len(frames)
    return float(np.mean([labels[0] == labels_by_hand(frame) for labels, frame in zip(found, frames, strict=True)]))


@pytest.mark.parametrize("name", format_names())
def test_every_format_is_converted_and_each_engine_gives_the_labels_that_numpy_gives(name, tmp_path):
    described = format_named(name)
    convert(checkpoint(), ExportRequest(name, tmp_path / "a"))
    assert {described.model_file, *described.more_files} <= {path.name for path in (tmp_path / "a").iterdir()}
    engines = [each for each in target("x86").engines(name) if installed(each)]
    assert engines
    assert [agreement(tmp_path / "a", each) for each in engines] == [1.0] * len(engines)


@pytest.mark.parametrize("name", format_names())
def test_every_format_with_int8_is_quantized_and_its_labels_stay_near(name, tmp_path):
    assert hasattr(exporter(name), "quantize") == format_named(name).integer == (name in integer_formats())
    if not format_named(name).integer:
        pytest.skip(f"{name} has no int8")
    (tmp_path / "frames").mkdir()
    for seed in range(4):
        write_picture(tmp_path / f"frames/{seed}.png", noise(10 + seed))
    asked = Quantization(Calibration.open(tmp_path / "frames", None), gate=Agreement(0.9))
    assert convert(checkpoint(), ExportRequest(name, tmp_path / "a", quantization=asked)).precision == "int8"
    engines = target("x86").engines(name, "int8")
    assert 0.9 < agreement(tmp_path / "a", next(each for each in engines if installed(each))) <= 1


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_does_what_its_descriptor_says_and_refuses_the_rest(name, tmp_path):
    described, opened = engine_named(name), formats_of(name)
    assert opened
    if not installed(name):
        pytest.skip(f"engine {name} is not installed")
    artifact = tiny.write_artifact(tmp_path / "a", opened[0])
    where = target(next(each for each in targets() if name in target(each).engines(opened[0])))
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[np.newaxis]
    for precision in PRECISIONS:
        if precision in described.precisions:
            session = open_artifact(where, artifact, Options(threads=1, precision=precision), name)
            assert np.mean(session.run(batch) == tiny.expected(batch)) > 0.95
        elif not described.precisions:
            with pytest.raises(TargetError, match="--precision is for"):
                open_artifact(where, artifact, Options(precision=precision), name)
    if described.gpu == "never":
        with pytest.raises(TargetError, match="--device cuda is for"):
            open_artifact(where, artifact, Options(device="cuda"), name)
    plan = ProfileOptions(threads=1, engine=name)
    if described.layers:
        layers, _ = layer_timing.trace(where, artifact, plan)
        assert any(layer.ms > 0 for layer in layers)
    else:
        with pytest.raises(TargetError, match="has no layers"):
            layer_timing.trace(where, artifact, plan)


@pytest.mark.parametrize("name", REAL_TARGETS)
def test_every_target_knows_its_board_and_no_other_target_takes_it_for_its_own(name, tmp_path, monkeypatch):
    board = example("targets", name)
    for place, content in board.FILES.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(content)
    monkeypatch.setattr(platform, "machine", lambda: board.MACHINE)
    assert target(name).machine == board.MACHINE
    assert [each for each in REAL_TARGETS if target(each).is_here(tmp_path)] == [name]


@pytest.mark.parametrize("name", input_kinds())
def test_every_input_is_opened_on_something_real_and_gives_its_frames(name, tmp_path):
    with example("inputs", name).opened(tmp_path) as (text, options, size, frame):
        source = open_input(text, options)
        assert type(source).__module__.startswith("targets.runner.inputs.")
        source.connect()
        grabs = (source.read(1) for _ in range(20))
        picture, found = next(grab for grab in grabs if grab is not None).payload.decode(None)
        assert found == size
        if frame is not None:
            assert np.abs(np.asarray(picture).astype(float) - frame).mean() < 6
        source.interrupt()
        with pytest.raises((EndOfInputError, InputLostError)):
            for _ in range(20):
                source.read(1)
        source.close()


@pytest.mark.parametrize("name", output_kinds())
def test_every_output_takes_a_result_is_closed_and_read_back(name, tmp_path):
    shown, module = tiny_runner.result(1), example("outputs", name)
    with module.opened(tmp_path) as (text, stdout, check):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, an example must not pass on nothing
            check(shown, None)
        output = open_output(text, OutputContext(Telemetry(), 1 if stdout is None else stdout))
        output.write(shown)
        with contextlib.ExitStack() as closing:
            closing.callback(output.close)
            if getattr(module, "WHILE_OPEN", False):
                check(shown, output)
            output.notice(Notice("no_result", "the engine failed", 5))
        if not getattr(module, "WHILE_OPEN", False):
            check(shown, output)


@pytest.mark.parametrize("name", datasets())
def test_every_dataset_reads_a_tiny_tree_of_its_layout(name, tmp_path):
    module = example("datasets", name)
    text, root, expected = module.write(tmp_path / "tree")
    source = open_source(text, root)
    assert min(source.size) > 0
    for split, pairs in expected.items():
        assert split in source.splits
        dataset = source.open(split)
        assert (dataset.name, dataset.split, len(dataset)) == (name, split, len(pairs))
        for number, pair in enumerate(pairs):
            sample = dataset[number]
            known = {*range(len(dataset.classes)), dataset.classes.ignored}
            assert {int(label) for label in np.unique(sample.labels)} <= known
            if pair is not None:
                assert np.abs(sample.frame.astype(float) - pair[0]).mean() < 4
                counted = tiny_tree.off_edges(pair[1]) if getattr(module, "DRAWN", False) else np.True_
                assert counted.any()
                assert np.all((sample.labels == pair[1])[counted])


@pytest.mark.parametrize("name", networks())
def test_every_network_is_described_and_gives_logits_of_the_inputs_size(name):
    assert len(description(name)) > 10
    with torch.inference_mode(), torch.device("meta"):  # shapes without their arithmetic
        logits = build(name, 3).eval()(torch.zeros(1, 3, 48, 64))
    assert logits.shape == (1, 3, 48, 64)
