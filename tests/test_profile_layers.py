"""Time per layer, as each runtime executed it."""

import ctypes
import json
import math
import os
import shutil
import subprocess
import sys
from itertools import cycle

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge.cli import main
from segfast_edge.cli._console import console
from segfast_edge.cli._profile_view import parts, show_layers
from segfast_edge.contract.layer_times import Layer, by_kind
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.report import Latency, Memory, Report
from segfast_edge.contract.report_text import layer_lines, short_name
from segfast_edge.device.code import device_code
from segfast_edge.errors import TargetError
from targets.common.peak import peak_gmacs_per_s
from targets.common.session import LayerTrace, Options, engine
from targets.common.trace import WARM_UP_RUNS, convolution_macs, typical_layers
from targets.engines import _litert_trace

MACS = tiny.HEIGHT * tiny.WIDTH * tiny.CLASSES * 3
CONVOLUTIONS = {"openvino": "Convolution", "litert": "Fully Connected", "onnxruntime": "Conv"}


def traced(model_format, name, tmp_path, threads=1):
    artifact = tiny.write_artifact(tmp_path / "a", model_format)
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[np.newaxis]
    return engine(name).layers(artifact, Manifest.load(artifact), LayerTrace(Options(threads=threads), batch, runs=8))


@pytest.mark.parametrize(("model_format", "name"), [("openvino", "openvino"), ("tflite", "litert")])
def test_the_one_convolution_is_timed_with_its_multiply_accumulates(model_format, name, tmp_path):
    layers = traced(model_format, name, tmp_path)
    (convolution,) = (layer for layer in layers if layer.kind == CONVOLUTIONS[name])
    assert convolution.macs == MACS
    assert 0 < convolution.ms < 1000
    assert all(layer.macs is None for layer in layers if layer is not convolution)
    assert convolution.precision == "float32"
    assert len(layers) >= 3


def test_onnx_runtime_counts_what_it_executes_padding_included(tmp_path):
    (convolution,) = (layer for layer in traced("onnx", "onnxruntime", tmp_path) if layer.kind == "Conv")
    assert convolution.macs is not None
    assert convolution.macs >= MACS
    assert convolution.macs % (tiny.HEIGHT * tiny.WIDTH) == 0


def test_torchscript_has_the_operators_that_the_graph_calls(tmp_path):
    layers = traced("torchscript", "torchscript", tmp_path)
    (convolution,) = (layer for layer in layers if layer.kind == "aten::_convolution")
    assert (convolution.macs, convolution.kernel) == (MACS, "1x1, 3 channels at 32x48")
    kinds = {layer.kind for layer in layers}
    assert {"aten::_convolution", "aten::argmax", "forward"} <= kinds
    assert "aten::empty" not in kinds  # called by operators, not by the graph


def test_torchscript_tells_depthwise_and_transposed_convolutions_apart(tmp_path):
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = torch.nn.Conv2d(3, 3, 5, stride=2, padding=4, dilation=2, groups=3)
            self.up = torch.nn.ConvTranspose2d(3, tiny.CLASSES, 2, stride=2)

        def forward(self, frames):
            return self.up(self.depthwise(frames.permute(0, 3, 1, 2).float())).argmax(1).to(torch.uint8)

    artifact = tiny.write_artifact(tmp_path / "a", "torchscript")
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[np.newaxis]
    network = torch.jit.trace(Network().eval(), torch.from_numpy(batch))
    network.save(str(artifact / "model.ts"))
    manifest = tiny.manifest("torchscript").save(artifact)
    layers = engine("torchscript").layers(artifact, manifest, LayerTrace(Options(threads=1), batch, runs=4))
    macs = {layer.kind: layer.macs for layer in layers if layer.macs is not None}
    positions = tiny.HEIGHT * tiny.WIDTH // 4
    assert macs == {
        "aten::_convolution depthwise": 3 * 5 * 5 * positions,
        "aten::_convolution transposed": 3 * tiny.CLASSES * 2 * 2 * positions,
    }


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("__module.network.block2.0.conv/aten::_convolution/Convolution", "block2.0.conv"),
        ("network.block1.relu/relu_nchwc", "block1.relu/relu_nchwc"),
        ("block1.conv/conv2d_1", "block1.conv/conv2d_1"),
        ("aten::add 4", "aten::add 4"),
    ],
)
def test_a_layer_is_shown_by_its_place_in_the_network(name, place):
    assert short_name(Layer(name, "Convolution", "kernel", 1.0)) == place


def test_a_narrow_terminal_cuts_names_and_no_figure(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    name = "a.very.long.name.of.a.layer.that.no.terminal.shows.whole"
    layers = [Layer(name, "Convolution", "a_kernel_with_a_long_name_too", 123.456, 789_120_000, "float32").to_json()]
    named, times = {"name": "a"}, (1.0, 2.0, 3.0, Latency((1.0,)), Memory(2, 1))
    show_layers(Report(named, "x86", "litert", "float32", 1, *times, layers=tuple(layers)), console())
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if "float32" in line)
    assert max(map(len, lines)) <= 80
    assert line.split()[-5:] == ["123.456", "100.0", "%", "789.12", "6.4"]
    assert any("GMACs/s" in each and "precision" in each for each in lines)


def test_more_columns_than_a_terminal_holds_become_several_tables_without_a_broken_cell():
    columns = [(f"name {n}", "x" * 17) for n in range(5)]  # each needs 20
    assert [len(part) for part in parts(columns, 45)] == [2, 2, 1]
    assert [column for part in parts(columns, 45) for column in part] == columns
    assert [len(part) for part in parts(columns, 10)] == [1] * 5  # one at least, however narrow


def test_litert_names_a_layer_by_its_tensor_and_tells_the_kernel(tmp_path):
    layers = {layer.name: layer for layer in traced("tflite", "litert", tmp_path, threads=2)}
    assert "F32" in layers["scores"].kernel


def test_events_of_another_form_are_refused_before_their_text_is_read():
    event = _litert_trace._Event(tag=8, kind=3, elapsed_us=1, source=0)  # 3 is no kind, and 8 no address
    with pytest.raises(TargetError, match="another form of profiling events"):
        _litert_trace._layers([event])


def test_only_layers_are_taken_of_the_events():
    text = ctypes.create_string_buffer(b"Convolution (NHWC, F32) IGEMM")
    address = ctypes.addressof(text)
    kinds = (1, 2, 8, 32)
    events = [_litert_trace._Event(tag=address, kind=kind, elapsed_us=kind, source=0) for kind in kinds]
    assert [event.microseconds for event in _litert_trace._layers(events)] == [2, 8]


def test_the_typical_time_is_the_interquartile_mean():
    times = cycle([1.0] * WARM_UP_RUNS + [1.0, 2.0, 3.0, 900.0])
    (layer,) = typical_layers(lambda: [Layer("a", "Conv", "k", next(times), 7)], 4)
    assert layer == Layer("a", "Conv", "k", 2.5, 7)


def test_layers_that_change_from_run_to_run_have_no_typical_time():
    names = cycle("ab")
    with pytest.raises(TargetError, match="other layers from one run to the next"):
        typical_layers(lambda: [Layer(next(names), "Conv", "k", 1.0)], 3)


def test_kinds_sum_their_layers_and_the_longest_comes_first():
    layers = [
        Layer("a", "Conv", "fast", 1.0, 10),
        Layer("b", "Resize", "slow", 5.0),
        Layer("c", "Conv", "other", 2.0, 30),
    ]
    (resize, one), (convolution, two) = by_kind(layers)
    assert (resize.kind, resize.ms, resize.macs, one) == ("Resize", 5.0, None, 1)
    assert (convolution.ms, convolution.macs, two) == (3.0, 40, 2)
    assert convolution.gmacs_per_s == pytest.approx(40 / 3.0 / 1e6)
    text = layer_lines(layers)
    assert text[1].split()[:4] == ["Resize", "1", "5.000", "62.5"]
    assert Layer.from_json(json.loads(json.dumps(layers[0].to_json()))) == layers[0]


def test_a_layer_is_held_to_the_limit_of_its_precision():
    layers = [
        Layer("a", "Conv", "k", 2.0, 40_000_000, "float32", 50.0),  # 20 of 50 GMACs/s
        Layer("b", "Conv", "k", 1.0, 100_000_000, "int8", 200.0),  # 100 of 200
        Layer("c", "Resize", "k", 1.0),
    ]
    assert [layer.share_of_limit for layer in layers] == [pytest.approx(0.4), pytest.approx(0.5), None]
    conv = next(kind for kind, _ in by_kind(layers) if kind.kind == "Conv")
    assert conv.share_of_limit == pytest.approx((0.8 + 0.5) / 3)  # ms at the limit over ms
    assert [line.split()[-1] for line in layer_lines(layers) if line.startswith(("a ", "b "))] == ["40%", "50%"]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_peak_is_what_another_way_to_the_same_units_does_not_exceed():
    """numpy's matrix product is written by others; in processor time of one thread, it comes close and stays below."""
    product = (
        "import numpy, time\n"
        "a = numpy.ones((512, 512), numpy.float32)\n"
        "spent = []\n"
        "for _ in range(30):\n"
        "    start = time.thread_time(); a @ a; spent.append(time.thread_time() - start)\n"
        "print(512**3 / min(spent) / 1e9)\n"
    )
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    said = subprocess.run([sys.executable, "-c", product], capture_output=True, text=True, check=True, env=one_thread)
    peaks = peak_gmacs_per_s(1)
    assert 0.4 < float(said.stdout) / peaks["float32"] < 1.05
    assert peaks.get("int8", math.inf) > 0.9 * peaks["float32"]


def test_without_a_compiler_there_is_no_limit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert peak_gmacs_per_s(1) == {}


def test_convolution_macs_are_weights_times_positions():
    assert convolution_macs((16, 3, 3, 3), (10, 12)) == 16 * 3 * 3 * 3 * 10 * 12


def test_the_profile_verb_shows_the_layers_and_writes_them(tmp_path, capsys):
    artifact = tiny.write_artifact(tmp_path / "tiny", "tflite")
    words = ["profile", str(artifact), "--num-runs", "3", "--min-secs", "0", "--warmup-runs", "0", "--max-secs", "0.5"]
    assert main([*words, "--layers", "--output", str(tmp_path / "r.json")]) == 0
    shown = capsys.readouterr().out
    assert "kind of layer" in shown
    assert "GMACs/s" in shown
    report = json.loads((tmp_path / "r.json").read_text())
    layers = report["layers"]
    assert report["conditions"]["layers"]["load"]["measured_s"] > 0
    peaks = report["conditions"]["layers"]["peak_gmacs_per_s"]
    limits = {layer["precision"]: layer["limit_gmacs_per_s"] for layer in layers}
    assert limits["float32"] == peaks.get("float32")  # none without a C compiler
    assert "scores" in [layer["name"] for layer in layers]


def test_a_process_that_cannot_trace_gives_one_line(tmp_path, capsys):
    words = ["profile", str(tiny.write_null_artifact(tmp_path / "a")), "--target", "null", "--layers"]
    assert main([*words, "--num-runs", "3", "--min-secs", "0", "--max-secs", "0.5"]) == 2
    said = capsys.readouterr().err
    assert said == "segfast-edge: layers cannot be timed: engine null has no layers to time\n"


def test_the_device_prints_its_layers_as_text(tmp_path):
    code = device_code(tmp_path / "device")
    artifact = tiny.write_artifact(tmp_path / "a", "tflite")
    words = [sys.executable, "-m", "targets", "x86", "layers", str(artifact), "--threads", "1"]
    done = subprocess.run(words, cwd=code, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kind of layer")
    assert "scores" in done.stdout
