"""The TensorRT engine as far as it can be held to anything without a GPU; what needs one runs where there is one."""

import importlib.util
import json
import logging
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge.contract.shared.files import user_cache_folder
from segfast_edge.device.code import device_code
from segfast_edge.errors import TargetError
from targets.common import result_cache
from targets.common.cuda import Cuda, Gpu
from targets.common.session import Options, engine, refuse
from targets.common.target import choose_engine, open_artifact, target
from targets.engines._tensorrt_build import BuildSettings, Messages, precision_for, version_of
from targets.engines.tensorrt import described_layers, layer_types

RECIPE = BuildSettings("ab" * 32, "float32", False, "10.3.0", Gpu("Orin", "8.7"))
INSTALLED = importlib.util.find_spec("tensorrt") is not None


def gpu_reason() -> str:
    """Say why the engine cannot run here; nothing where it can."""
    if not INSTALLED:
        return "tensorrt is not installed: pip install tensorrt"
    try:
        Cuda.open()
    except TargetError as error:
        return str(error)
    return ""


needs_gpu = pytest.mark.skipif(bool(gpu_reason()), reason=gpu_reason() or "there is a GPU")


def test_what_was_kept_is_found_again(tmp_path):
    result_cache.keep(tmp_path / "deep" / "a.plan", RECIPE.facts(), b"plan\nof two lines")
    assert result_cache.find(tmp_path / "deep" / "a.plan", RECIPE.facts()) == b"plan\nof two lines"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.plan"]


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, model_sha256="cd" * 32),
        replace(RECIPE, precision="float16"),
        replace(RECIPE, holds_int8=True),
        replace(RECIPE, tensorrt="10.4.0"),
        replace(RECIPE, gpu=Gpu("Xavier", "8.7")),
        replace(RECIPE, gpu=Gpu("Orin", "7.2")),
    ],
    ids=["model", "precision", "int8", "TensorRT", "GPU", "compute capability"],
)
def test_a_plan_made_from_anything_else_is_not_used(other, tmp_path):
    result_cache.keep(tmp_path / "a.plan", RECIPE.facts(), b"plan")
    assert result_cache.find(tmp_path / "a.plan", other.facts()) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
        lambda data: data.replace(b"8.7", b"8.8"),
        lambda _: b"",
        lambda _: b"[1]\nplan",
        lambda _: b"\xff\xfe\n",
        lambda _: b"[" * 100_000,
    ],
    ids=["cut", "longer", "one bit", "edited facts", "empty", "foreign", "binary", "nested"],
)
def test_a_damaged_plan_is_not_used(damage, tmp_path):
    path = tmp_path / "a.plan"
    result_cache.keep(path, RECIPE.facts(), b"the plan")
    path.write_bytes(damage(path.read_bytes()))
    assert result_cache.find(path, RECIPE.facts()) is None


def test_a_plan_that_cannot_be_kept_is_said_and_costs_nothing_else(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        result_cache.keep(tmp_path / "file" / "a.plan", RECIPE.facts(), b"plan")
    assert "made again at the next start" in caplog.text
    assert result_cache.find(tmp_path / "file" / "a.plan", RECIPE.facts()) is None


def test_another_tensorrt_takes_the_old_plans_place_and_nothing_else_does():
    assert replace(RECIPE, tensorrt="10.4.0").plan_name() == RECIPE.plan_name()
    others = [replace(RECIPE, precision="float16"), replace(RECIPE, gpu=Gpu("Thor", "11.0")), RECIPE]
    assert len({each.plan_name() for each in others}) == len(others)
    odd = replace(RECIPE, gpu=Gpu("../NVIDIA GeForce RTX\n4090", "8.9"))
    assert odd.plan_name() == f"{'ab' * 8}-float32-nvidia-geforce-rtx-4090.plan"


def test_kernel_timings_serve_every_model_on_one_gpu_and_tensorrt():
    assert replace(RECIPE, model_sha256="cd" * 32, precision="float16").timing_facts() == RECIPE.timing_facts()
    assert replace(RECIPE, tensorrt="10.4.0").timing_facts() != RECIPE.timing_facts()
    assert replace(RECIPE, gpu=Gpu("Orin", "7.2")).timing_facts() != RECIPE.timing_facts()


def test_the_cache_is_where_it_is_named_else_where_it_is_usual(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path / "a"))
    assert user_cache_folder() == tmp_path / "a"
    monkeypatch.delenv("SEGFAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "segfast-edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / ".cache" / "segfast-edge"


def test_a_recipe_holds_the_checksum_of_the_file(tmp_path):
    artifact = tiny.write_artifact(tmp_path / "a", "onnx")
    listed = json.loads((artifact / "manifest.json").read_text())["files"]["model.onnx"]
    recipe = BuildSettings.of(artifact / "model.onnx", "float32", holds_int8=False, tensorrt="10.3.0", gpu=RECIPE.gpu)
    assert recipe.facts()["model_sha256"] == listed


def test_versions_from_jetpack_6_on_are_taken():
    assert [version_of(text) for text in ("8.6.2", "10.3.0", "11.4.0.106")] == [(8, 6), (10, 3), (11, 4)]
    for text in ("8.5.2", "7.1", "unknown"):
        with pytest.raises(TargetError, match=rf"TensorRT {text} is too old; 8\.6 or newer"):
            version_of(text)


def test_float32_is_built_unless_float16_is_asked_for():
    for version in ((8, 6), (10, 3)):
        assert precision_for(version, None) == precision_for(version, "f32") == "float32"
        assert precision_for(version, "f16") == "float16"
    assert precision_for((11, 4), None) == "float32"
    with pytest.raises(TargetError, match="TensorRT 11 takes the precision from the file"):
        precision_for((11, 4), "f16")
    with pytest.raises(TargetError, match="builds f32 and f16, not bf16"):
        precision_for((10, 3), "bf16")


@pytest.mark.skipif(INSTALLED, reason="tensorrt is installed")
def test_without_tensorrt_one_line_says_what_to_install(tmp_path):
    code = device_code(tmp_path / "device")
    artifact = tiny.write_null_artifact(tmp_path / "a")
    words = ["x86", "run", str(artifact), "a.png", "--out", "out", "--engine", "tensorrt"]
    done = subprocess.run(
        [sys.executable, "-m", "targets", *words], cwd=code, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("targets: tensorrt is missing. On a Jetson run: sudo apt install python3-libnvinfer")
    assert "pip install tensorrt" in done.stderr


def test_the_processor_is_refused():
    with pytest.raises(TargetError, match="runs on an NVIDIA GPU only; leave --device cpu out"):
        refuse("tensorrt", Options(device="cpu"))


def test_int8_that_is_for_onnx_runtime_is_refused(tmp_path):
    manifest = replace(tiny.manifest("onnx"), precision="int8")
    with pytest.raises(TargetError, match="Convert again with --engine tensorrt"):
        engine("tensorrt").load(tmp_path, manifest, Options())


def test_a_jetson_prefers_tensorrt_where_it_is_installed():
    assert target("jetson").engines("onnx") == ("tensorrt", "onnxruntime")
    name, _ = choose_engine(target("jetson"), tiny.manifest("onnx"))
    assert name == ("tensorrt" if INSTALLED else "onnxruntime")


UNTIL_10 = {
    "Layers": [
        {"Name": "cast", "LayerType": "Reformat", "Inputs": [{"Format/Datatype": "Row major linear UInt8"}]},
        {"Name": "a", "ParameterType": "Convolution", "Weights": {"Type": "Int8", "Count": 9}},
        {"Name": "b", "ParameterType": "Convolution", "Weights": {"Type": "Half", "Count": 9}},
        {"Name": "c", "ParameterType": "Deconvolution", "Weights": {"Type": "Float", "Count": 9}},
    ]
}
FROM_11 = {
    "Layers": [
        {"Name": "cast", "LayerType": "kgen", "Inputs": [{"DataType": "UInt8"}]},
        {"Name": "a", "LayerType": "kgen", "Inputs": [{"DataType": "Float", "Format": "Row major linear FP32"}]},
    ]
}
FUSED = {"Layers": [{"Name": "a", "Inputs": [{"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}]}]}


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (UNTIL_10, {"int8": 1, "float16": 1, "float32": 1}),
        (FROM_11, {"float32": 1}),
        (FUSED, {"float16": 1}),
        ({"Layers": ["only a name"]}, {}),
        ({}, {}),
    ],
    ids=["weights", "data types of 11", "formats", "names only", "nothing"],
)
def test_the_types_that_layers_run_in_are_read_from_the_inspectors_json(said, counts):
    assert layer_types(described_layers(json.dumps(said))) == counts


# What the engine calls, as the bindings of each release have it; tests/test_tensorrt.py is where a new one is added
CALLED = (
    *("ILogger", "Runtime", "deserialize_cuda_engine", "Builder", "create_network", "create_builder_config"),
    *("OnnxParser", "parse_from_file", "num_errors", "get_error", "desc", "node", "build_serialized_network"),
    *("clear_flag", "set_flag", "TF32", "set_memory_pool_limit", "WORKSPACE", "profiling_verbosity", "DETAILED"),
    *("create_timing_cache", "set_timing_cache", "get_timing_cache", "serialize", "num_io_tensors", "get_tensor_name"),
    *("get_tensor_mode", "get_tensor_shape", "get_tensor_dtype", "UINT8", "FLOAT", "create_execution_context"),
    *("set_tensor_address", "execute_async_v3", "profiler", "IProfiler", "report_layer_time"),
    *("create_engine_inspector", "get_engine_information", "LayerInformationFormat", "JSON", "INTERNAL_ERROR"),
)
RELEASES = {  # wheel -> what only some releases have, and the engine therefore asks for by version
    "tensorrt-bindings==8.6.1": {"EXPLICIT_BATCH": True, "FP16": True, "node_operator": False},
    "tensorrt-cu12-bindings==10.3.0": {"EXPLICIT_BATCH": True, "FP16": True, "node_operator": True},
    "tensorrt-cu12-bindings==11.4.0.106": {"EXPLICIT_BATCH": False, "FP16": False, "node_operator": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("wheel", RELEASES)
def test_every_name_the_engine_calls_is_in_the_bindings(wheel, tmp_path):
    """The wheels of the bindings alone are 1 MB; they hold the names, but cannot be imported without the libraries."""
    words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    place = ["--platform", "manylinux_2_17_x86_64", "--platform", "manylinux_2_28_x86_64", "--dest", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "pip", *words, *place, wheel], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{wheel} cannot be had: {(done.stderr.strip().splitlines() or ['no pip'])[-1]}")
    (archive,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        library = opened.read("tensorrt_bindings/tensorrt.so")
    # the end of a longer name will do, because linkers keep a string that is another's end only once
    there = {name: f"{name}\0".encode() in library for name in (*CALLED, *RELEASES[wheel])}
    assert there == dict.fromkeys(CALLED, True) | RELEASES[wheel]


def test_the_list_of_names_is_of_those_that_the_engine_calls():
    folder = Path(__file__).parents[1] / "targets/engines"
    source = "".join((folder / name).read_text() for name in ("tensorrt.py", "_tensorrt_build.py"))
    assert [name for name in CALLED if name not in source] == []


def test_tensorrts_own_runtime_logs_to_us_and_is_refused_without_a_gpu():
    lean = pytest.importorskip("tensorrt_lean", reason="TensorRT's small runtime is missing: pip install tensorrt-lean")
    messages = Messages(lean)
    try:
        Cuda.open()
    except TargetError:
        with pytest.raises(TargetError, match="TensorRT does not start: createInferRuntime"):
            messages.start(lean.Runtime)
        return
    assert messages.start(lean.Runtime).deserialize_cuda_engine(b"no plan") is None
    assert messages.errors


@needs_gpu
def test_an_engine_is_built_once_and_again_where_the_kept_one_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path / "cache"))
    artifact = tiny.write_artifact(tmp_path / "a", "onnx")
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[np.newaxis]
    plans = []
    for _ in range(3):
        session = open_artifact(target("x86"), artifact, Options(), "tensorrt")
        np.testing.assert_array_equal(session.run(batch), tiny.expected(batch))
        assert session.session.gpu_ms > 0
        plans.append(session.facts()["plan"].split()[0])
        if len(plans) == 2:
            (plan,) = (tmp_path / "cache" / "tensorrt").glob("*.plan")
            plan.write_bytes(plan.read_bytes()[:-1])
    assert plans == ["built", "kept", "built"]
