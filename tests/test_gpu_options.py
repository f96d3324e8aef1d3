"""Where a network runs: what was asked for, what the target prefers, and what the report says of it."""

import importlib.util
import json
import socket
import time

import pytest
import tiny_artifacts as tiny

from segfast_edge.cli import main
from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import PROCESSOR, Latency, Memory, Report
from segfast_edge.contract.report_text import figures
from segfast_edge.errors import TargetError
from segfast_edge.remote.device_packages import requirements
from targets.common import measure
from targets.common.session import Options
from targets.common.target import open_artifact, preferring, target
from targets.runner.systemd_notify import Notifier

REPORT = Report(
    artifact={"name": "a", "format": "onnx"},
    target="jetson",
    engine="tensorrt",
    executed_precision="float32",
    threads=1,
    import_ms=1.0,
    load_ms=1.0,
    first_inference_ms=1.0,
    latency=Latency((2.0, 2.1)),
    memory=Memory(2, 1),
    executed_device="Orin (CUDA 8.7)",
    gpu=Latency((1.5, 1.6)),
)


def test_a_gpu_is_used_where_asked_for_or_preferred_and_there():
    assert Options(device="cuda").uses_gpu(available=False)
    assert not Options().uses_gpu(available=True)
    options = preferring(target("jetson"), Options(threads=2))
    assert options.threads == 2
    assert [options.uses_gpu(available=each) for each in (True, False)] == [True, False]
    assert not preferring(target("jetson"), Options(device="cpu")).uses_gpu(available=True)
    assert not preferring(target("x86"), Options()).uses_gpu(available=True)


def test_an_unknown_device_is_refused():
    with pytest.raises(TargetError, match=r"unknown device 'gpu'\..* Known: cpu, cuda"):
        Options(device="gpu")


def test_a_plan_carries_the_device():
    plan = ProfileOptions(device="cuda", threads=2, precision="f16")
    assert plan.words() == ["--threads", "2", "--precision", "f16", "--device", "cuda"]
    assert Options.of(plan) == Options(2, "f16", "cuda")
    assert Options.of(ProfileOptions()) == Options()


@pytest.mark.parametrize(("name", "model_format"), [("litert", "tflite"), ("openvino", "openvino"), ("null", "onnx")])
def test_an_engine_of_the_processor_refuses_a_gpu(name, model_format, tmp_path):
    artifact = tiny.write_artifact(tmp_path / "a", model_format)
    with pytest.raises(TargetError, match=f"engine {name} runs on the processor; --device cuda is for onnxruntime"):
        open_artifact(target("x86"), artifact, Options(device="cuda"), name)


def _cuda_reason(name: str) -> str:
    """Say whether this machine can run ``name`` on a GPU after all."""
    if importlib.util.find_spec(name) is None:
        return f"{name} is not installed"
    if name == "torch":
        import torch

        return "there is a GPU" if torch.cuda.is_available() else ""
    import onnxruntime

    return "this onnxruntime has CUDA" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else ""


@pytest.mark.parametrize(
    ("name", "model_format", "says"),
    [
        ("torch", "torchscript", r"torch \S+ finds no CUDA GPU\. On a Jetson install NVIDIA's build of torch"),
        ("onnxruntime", "onnx", r"onnxruntime \S+ has no CUDA; it has .*CPUExecutionProvider\. On a Jetson install"),
    ],
)
def test_a_runtime_without_cuda_says_what_to_install(name, model_format, says, tmp_path):
    if _cuda_reason(name):
        pytest.skip(_cuda_reason(name))
    artifact = tiny.write_artifact(tmp_path / "a", model_format)
    with pytest.raises(TargetError, match=says):
        open_artifact(target("x86"), artifact, Options(device="cuda"))


@pytest.mark.parametrize(("name", "model_format"), [("torch", "torchscript"), ("onnxruntime", "onnx")])
def test_without_a_gpu_what_prefers_one_runs_on_the_processor(name, model_format, tmp_path):
    if _cuda_reason(name):
        pytest.skip(_cuda_reason(name))
    session = open_artifact(target("jetson"), tiny.write_artifact(tmp_path / "a", model_format), Options())
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[None]
    assert (session.run(batch) == tiny.expected(batch)).all()
    assert session.facts().get("executed_device", PROCESSOR) == PROCESSOR


@pytest.mark.parametrize(("name", "model_format"), [("torch", "torchscript"), ("onnxruntime", "onnx")])
def test_with_a_gpu_it_runs_there_and_says_so(name, model_format, tmp_path):
    if not _cuda_reason(name).startswith("th"):
        pytest.skip("no GPU that this runtime can use")
    session = open_artifact(target("x86"), tiny.write_artifact(tmp_path / "a", model_format), Options(device="cuda"))
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[None]
    assert (session.run(batch) == tiny.expected(batch)).all()
    assert "CUDA" in session.facts()["executed_device"]


def test_the_verb_refuses_a_gpu_in_one_line(tmp_path, capsys):
    artifact = tiny.write_artifact(tmp_path / "a", "tflite")
    assert main(["profile", str(artifact), "--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("segfast-edge: engine litert runs on the processor")
    assert said.count("\n") == 1


def test_what_runs_after_a_timed_call_is_in_no_sample():
    calls: list[int] = []

    def slow() -> None:
        calls.append(1)
        time.sleep(0.02)

    plan = ProfileOptions(num_runs=5, min_secs=0.0, warmup_runs=0)
    assert max(measure.single_stream(lambda: None, plan, after=slow).samples_ms) < 20
    assert len(calls) == 5
    stages, _ = measure.constant_stream(lambda: {"inference": 1000}, plan, after=slow)
    assert len(calls) == 5 + len(stages["inference"].samples_ms)


def test_a_report_of_a_gpu_goes_to_json_and_back_and_shows_both_times():
    value = json.loads(json.dumps(REPORT.to_json()))
    again = Report.from_json(value)
    assert (again.gpu, again.executed_device) == (Latency((1.5, 1.6)), "Orin (CUDA 8.7)")
    shown = figures(again)
    assert shown["ran on"] == "Orin (CUDA 8.7)"
    assert shown["on the GPU"] == "p50 1.550 ms"
    assert shown["p50"] == "2.050 ms"


def test_a_report_from_before_there_were_gpus_is_of_a_processor():
    value = REPORT.to_json()
    del value["gpu"], value["executed_device"]
    again = Report.from_json(value)
    assert (again.gpu, again.executed_device) == (None, PROCESSOR)
    assert "on the GPU" not in figures(again)


def test_systemd_is_asked_for_the_time_that_building_an_engine_takes(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.starting(600)
        assert systemd.recv(100) == b"EXTEND_TIMEOUT_USEC=600000000"
        notifier.close()


def test_what_jetpack_brings_is_not_installed_by_pip():
    (choice,) = requirements("jetson", "onnx")
    assert [word.partition(">")[0] for word in choice] == ["numpy", "pillow", "onnxruntime"]
    assert engine_named("tensorrt").packages == ()
