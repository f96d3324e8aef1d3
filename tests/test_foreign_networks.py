"""Networks that are not ours, and what is refused of them: by operator and layer, with the way round it."""

import subprocess
import sys

import pytest
from tiny_export import write_checkpoint

from segfast_edge.cli import main
from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert

SIZE = (64, 96)
SCALED = ("--model", "foreign_networks:scaled", "--classes", "5", "-o", "a")


def test_an_operator_that_our_tflite_writer_lacks_is_named_with_its_layer_and_the_other_converter(tmp_path):
    source = PreparedNetwork(write_checkpoint(tmp_path / "a.pt", "foreign_networks:summed", size=SIZE))
    with pytest.raises(ConversionError, match=r"layer '1': cumsum is not covered.*--converter litert-torch"):
        convert(source, ExportRequest("tflite", tmp_path / "a"))


def test_a_network_that_was_trained_elsewhere_converts_with_the_weights_that_its_factory_loads(tmp_path):
    words = ["convert", "--model", "foreign_networks:scaled", "--classes", "5", "--size", "48x64", "--target"]
    assert main([*words, "openvino,tflite", "-o", str(tmp_path / "a")]) == 0
    for name in ("openvino", "tflite"):
        manifest = Manifest.load(tmp_path / "a" / name)
        assert manifest.preprocess.size == (48, 64)
        assert len(manifest.classes) == 5
        assert manifest.parity["label_agreement"] == 1
        assert manifest.provenance["training"] == {"weights": "as foreign_networks:scaled gives them"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a CHECKPOINT, or with --model"),
        (["a.pt", "--model", "foreign_networks:scaled"], "not both"),
        (["a.pt", "--classes", "3"], "--classes: for --model only; a checkpoint knows its own"),
        (["--model", "foreign_networks:scaled", "-o", "a"], "--model needs --classes N"),
        (["--model", "foreign_networks:scaled", "--classes", "5"], "and --out DIR"),
        (["--model", "foreign_networks:none", "--classes", "5", "-o", "a"], "has no function 'none'"),
        (["--model", "segfast", "--classes", "5", "-o", "a"], "is not of the form package.module:factory"),
        (
            [*SCALED, "--int8", "--calibration", ".", "--gate-data", "scenes"],
            "--gate-data needs a CHECKPOINT",
        ),
        ([*SCALED, "--min-agreement", "0.9"], "--min-agreement is for --int8"),
        ([*SCALED, "--int8", "--calibration", "..", "--min-agreement", "1.5"], "--min-agreement 1.5 is outside 0 to 1"),
    ],
)
def test_half_a_network_is_refused_in_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *words, "--target", "openvino"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", [False, True], ids=["above the factory", "inside it"])
def test_a_module_that_imports_torchvision_as_anyone_would_is_taken(tmp_path, inside):
    above, within = ("", "    import torchvision\n") if inside else ("import torchvision\n", "")
    factory = f"{above}def make(classes):\n{within}    return torchvision.models.resnet18(weights=None)\n"
    (tmp_path / "plain.py").write_text(factory)
    code = "from segfast_edge.model import build; print(type(build('plain:make', 3)).__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("ResNet\n", 0), done.stderr
