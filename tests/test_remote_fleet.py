"""The fleet file, what a profile over ssh refuses before it connects, and what the device code says it needs."""

import json

import pytest
import tiny_artifacts as tiny

from segfast_edge.cli import main
from segfast_edge.contract.instruction_report import CountReport, any_report
from segfast_edge.contract.report import Report, read_reports
from segfast_edge.errors import ArtifactError, TargetError
from segfast_edge.profiling.fleet import Device, measure, read_fleet
from segfast_edge.profiling.over_ssh import RemoteProfile
from segfast_edge.remote.device_packages import gathered, requirements

GOOD = """
[[device]]
name = "shelf"
host = "pi@raspberrypi.local"
target = "rpi"

[[device]]
name = "car"
host = "car"
target = "x86"
"""


def test_a_fleet_file_names_its_devices(tmp_path):
    (tmp_path / "devices.toml").write_text(GOOD)
    assert read_fleet(tmp_path / "devices.toml") == [
        Device("shelf", "pi@raspberrypi.local", "rpi"),
        Device("car", "car", "x86"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no \[\[device\]\]"),
        ("device = 3", r"has no \[\[device\]\]"),
        ("[[device", "is not TOML"),
        ('[[device]]\nname = "a"\nhost = "b"', "lacks target"),
        ("device = [3, 4]", "device 3 is not a table"),
        ('device = [{name = "a", host = "b", target = "rpi"}, "c"]', "device 'c' is not a table"),
        ('[[device]]\nname = "a"\nhost = " "\ntarget = "rpi"', "lacks host"),
        ('[[device]]\nname = ["a"]\nhost = "b"\ntarget = "rpi"', "lacks name"),
        ("[[devices]]" + GOOD.partition("]]")[2], "unknown key 'devices'. Did you mean 'device'"),
        ("retries = 3\n" + GOOD, "unknown key 'retries'"),
        ('[[device]]\nname = "a"\nhost = 7\ntarget = "rpi"', "lacks host"),
        (GOOD.replace("target", "traget"), "Did you mean 'target'"),
        (GOOD.replace('"car"', '"shelf"', 1), "gives a name twice: shelf, shelf"),
        (GOOD.replace('host = "car"', 'host = "pi@raspberrypi.local"'), "gives a host twice: pi@raspberrypi.local"),
    ],
)
def test_a_fleet_file_that_is_none_is_one_clear_line(text, message, tmp_path):
    (tmp_path / "devices.toml").write_text(text)
    with pytest.raises(TargetError, match=message):
        read_fleet(tmp_path / "devices.toml")


def test_a_missing_fleet_file_is_one_clear_line(tmp_path):
    with pytest.raises(TargetError, match="No such file"):
        read_fleet(tmp_path / "devices.toml")


def test_an_unknown_target_is_refused_with_the_nearest():
    with pytest.raises(TargetError, match=r"unknown target 'rpi4'\. Did you mean 'rpi'"):
        RemoteProfile("rpi4")


def test_a_damaged_artifact_is_refused_before_anything_is_sent(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEGFAST_SSH", "ssh -F none -p 1")
    artifact = tiny.write_null_artifact(tmp_path / "a")
    (artifact / "model.onnx").write_bytes(b"changed")
    assert main(["profile", str(artifact), "--host", "127.0.0.1"]) == 2
    assert "sha256 differs" in capsys.readouterr().err


def test_an_unreachable_host_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEGFAST_SSH", "ssh -F none -p 1")
    artifact = tiny.write_null_artifact(tmp_path / "a")
    assert main(["profile", str(artifact), "--host", "127.0.0.1", "--output", str(tmp_path / "r.json")]) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("segfast-edge: cannot reach 127.0.0.1: ssh:")
    assert "Connection refused" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_every_artifact_that_fails_on_a_device_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_SSH", "sh -c :")  # a device that answers nothing
    artifacts = [tiny.write_null_artifact(tmp_path / name) for name in ("a", "b")]
    device = Device("car", "car", "x86")
    failures = measure([device], artifacts, RemoteProfile("x86")).failures
    assert [line.partition(": the login shell on car did not run sh")[0] for line in failures] == ["car: a", "car: b"]
    (failure,) = measure([device], artifacts[:1], RemoteProfile("x86")).failures
    assert failure.startswith("car: the login shell on car did not run sh")


def test_one_computer_under_two_names_is_refused(tmp_path, monkeypatch):
    """Two names may be aliases of ssh's configuration, a user more or less, or a name and its address."""
    aliases = "".join(
        f"Host {name}\n HostName 127.0.0.1\n Port {port}\n" for name, port in (("a", 1), ("b", 1), ("c", 2))
    )
    (tmp_path / "config").write_text(aliases)
    monkeypatch.setenv("SEGFAST_SSH", f"ssh -F {tmp_path / 'config'}")
    artifact = tiny.write_null_artifact(tmp_path / "artifact")
    for first, second in (("a", "b"), ("a", "pi@b"), ("localhost", "127.0.0.1")):
        devices = [Device("one", first, "x86"), Device("two", second, "x86")]
        with pytest.raises(TargetError, match=rf"^one \({first}\) and two \({second}\) are one computer: "):
            measure(devices, [artifact], RemoteProfile("x86"))
    other_ports = [Device("one", "a", "x86"), Device("two", "c", "x86")]
    assert len(measure(other_ports, [artifact], RemoteProfile("x86")).failures) == 2  # nothing listens there


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", ""], "'' is not a host"),
        (["--host", "", "--fleet", "b"], "exclude each other"),
        (["--host", "a", "--fleet", "b"], "exclude each other"),
        (["--install"], "for other computers"),
        (["--host", "a", "--samples", "s"], "--samples is for this machine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, message, tmp_path, capsys):
    assert main(["profile", str(tiny.write_null_artifact(tmp_path / "a")), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_target_needs_the_runtime_of_the_format_and_nothing_of_the_others():
    first, second = requirements("rpi", "tflite")
    assert [word.partition(">")[0] for word in first] == ["numpy", "pillow", "ai-edge-litert"]
    assert second[-2:] == ["tflite-runtime==2.14.0", "numpy<2"]
    assert not any("litert" in word for choice in requirements("rpi", "onnx") for word in choice)


def test_what_no_target_runs_or_what_is_too_large_is_not_installed():
    with pytest.raises(TargetError, match=r"OpenVINO does not use a Jetson's GPU\. Convert again for one of .*onnx"):
        requirements("jetson", "openvino")
    with pytest.raises(TargetError, match="does not send torch"):
        gathered("rpi", "torchscript", None)


COUNTS = CountReport(
    artifact={"name": "a"},
    target="rpi",
    engine="litert",
    executed_precision="int8",
    runs=(
        {"instructions": 12, "dot_int8": 3},
        {"instructions": 10, "dot_int8": 3},
        {"instructions": 11, "dot_int8": 3},
    ),
    machine={"board": "Raspberry Pi 4", "memory_bytes": 7, "frequency_limit_mhz": 1500},
)


def test_a_count_goes_to_json_and_back_without_a_figure_of_the_machine_underneath():
    value = json.loads(json.dumps(COUNTS.to_json()))
    assert value["emulated"] is True
    assert value["valid"] is False
    assert value["instructions"]["per_inference"] == {"instructions": 11, "dot_int8": 3}
    assert value["machine"] == {"board": "Raspberry Pi 4"}
    assert any_report(value).runs == COUNTS.runs


def test_a_count_cannot_be_read_as_a_profile(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(COUNTS.to_json()))
    with pytest.raises(ArtifactError, match="emulated board, which times nothing"):
        read_reports(tmp_path / "r.json")


def test_a_partial_report_cannot_be_read_as_a_whole_one():
    value = {"report_version": 1, "partial": True, "reasons": ["cannot reach pi"], "samples_ms": [1.0]}
    with pytest.raises(ArtifactError, match="partial: cannot reach pi"):
        Report.from_json(value)


@pytest.mark.parametrize("spoiled", [{"report_version": 0}, {"instructions": None}, {"engine": None, "versions": 3}])
def test_a_count_of_another_kind_is_refused(spoiled):
    with pytest.raises(ArtifactError, match="report"):
        CountReport.from_json(COUNTS.to_json() | spoiled)
