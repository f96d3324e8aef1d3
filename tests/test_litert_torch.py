"""Google's converter as a cross-check of our TFLite writer; only where it is installed."""

import importlib.util

import pytest
from tiny_export import write_checkpoint

from segfast_edge.cli import main
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.export.converters import converter

INSTALLED = importlib.util.find_spec("litert_torch") is not None


@pytest.mark.skipif(not INSTALLED, reason="litert-torch is not installed (pip install 'segfast-edge[litert-torch]')")
@pytest.mark.filterwarnings("ignore")  # its packages warn of each other
def test_its_file_passes_the_same_comparison_with_torch_as_ours(tmp_path):
    source = PreparedNetwork(write_checkpoint(tmp_path / "tiny.pt", "tiny_export:two_layers"))
    request = ExportRequest("tflite", tmp_path / "artifact", lowering="native")
    manifest = convert(source, request, by=converter("litert-torch"))
    assert manifest.parity["label_agreement"] > 0.999
    assert "litert-torch" in manifest.provenance["versions"]


@pytest.mark.skipif(INSTALLED, reason="litert-torch is installed")
def test_without_it_the_refusal_says_what_to_install():
    with pytest.raises(
        ConversionError, match=r"litert-torch is missing. Run: pip install 'segfast-edge\[litert-torch\]'"
    ):
        converter("litert-torch")


def test_an_unknown_converter_is_refused_with_the_nearest_name():
    with pytest.raises(ConversionError, match="Did you mean 'litert-torch'"):
        converter("litert_torch")


def test_it_is_for_float_tflite_alone(tmp_path, capsys):
    checkpoint = str(write_checkpoint(tmp_path / "tiny.pt"))
    for words in (["--target", "onnx"], ["--target", "tflite", "--tune"], ["--target", "tflite,onnx"]):
        assert main(["convert", checkpoint, *words, "--converter", "litert-torch"]) == 2
        assert "is for --target tflite" in capsys.readouterr().err
