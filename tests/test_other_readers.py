"""What other people's readers make of our files, and files made for their pipelines: each by its own package."""

import json
import zipfile

import cv2
import numpy as np
import pytest
import tflite
import torch
from runtimes import FORMATS, computed
from tiny_export import CLASSES, write_checkpoint

from segfast_edge.cli import main
from segfast_edge.contract.manifest import Manifest
from segfast_edge.model.checkpoint import Checkpoint

SIZE = (32, 48)
ENDS = {
    "planes": (("--input-layout", "NCHW"), "uint8"),
    "floats": (("--input-type", "float32"), "float32"),
    "both": (("--input-layout", "NCHW", "--input-type", "float32"), "float32"),
    "logits": (("--input-layout", "NCHW", "--graph-output", "logits", "--output-layout", "NCHW"), "uint8"),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.pt")


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def logits_in_torch(checkpoint, frame):
    """Return classes x H x W as torch gives them, the picture normalised here."""
    x = (frame / np.float32(255) - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    with torch.no_grad():
        network = Checkpoint.load(checkpoint).module()
        return network(torch.from_numpy(x.transpose(2, 0, 1)[np.newaxis].copy()))[0].numpy()


def written(checkpoint, target, folder, *words):
    return main(["convert", str(checkpoint), "--target", target, "-o", str(folder), *words])


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("target", FORMATS)
def test_a_file_for_another_pipeline_gives_the_labels_of_torch(target, ends, checkpoint, tmp_path):
    words, dtype = ENDS[ends]
    assert written(checkpoint, target, tmp_path / "a", *words) == 0
    frame = picture(3)
    given = np.ascontiguousarray(frame.transpose(2, 0, 1) if "NCHW" in words else frame).astype(dtype)
    found, expected = computed(tmp_path / "a", target, given), logits_in_torch(checkpoint, frame)
    if "logits" in words:
        np.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        assert np.mean(found == expected.argmax(0)) > 0.999
    spec = Manifest.load(tmp_path / "a").input
    assert (spec.layout, spec.dtype, spec.shape) == ("NCHW" if "NCHW" in words else "NHWC", dtype, (1, *given.shape))


@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_our_own_runner_and_profiler_take_such_a_file_as_any_other(target, checkpoint, tmp_path, capsys):
    words = ("--input-layout", "NCHW", "--input-type", "float32", "--graph-output", "logits", "--output-layout", "NCHW")
    assert written(checkpoint, target, tmp_path / "a", *words) == 0
    cv2.imwrite(str(tmp_path / "frame.png"), picture(4)[..., ::-1])
    capsys.readouterr()
    words = ["--model", str(tmp_path / "a"), "--out", str(tmp_path / "p")]
    assert main(["predict", str(tmp_path / "frame.png"), *words]) == 0
    (mask,) = [path for path in (tmp_path / "p").rglob("*.png") if "mask" in str(path)]
    expected = logits_in_torch(checkpoint, picture(4)).argmax(0)
    assert np.mean(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) == expected) > 0.999
    capsys.readouterr()
    assert main(["profile", str(tmp_path / "a"), "--layers", "--max-secs", "1", "--json"]) in (0, 5)
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("target", "words", "says"),
    [
        ("ncnn", ("--input-type", "float32"), "has uint8 NHWC in and NHWC out; leave --input-layout"),
        ("onnx", ("--input-layout", "NCHW", "--int8", "--calibration", "FRAMES"), "an int8 file has uint8 NHWC in"),
        ("onnx", ("--output-layout", "NCHW"), "--output-layout is for --graph-output logits"),
    ],
)
def test_ends_that_cannot_be_had_are_refused_in_one_line(target, words, says, checkpoint, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "frame.png"), picture(4))
    words = [str(tmp_path) if word == "FRAMES" else word for word in words]
    assert written(checkpoint, target, tmp_path / "a", *words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("ends", [(), ("--input-layout", "NCHW"), ("--input-type", "float32")], ids=" ".join)
@pytest.mark.parametrize("target", ["openvino", "onnx"])
def test_model_api_opens_a_file_and_labels_as_torch_does(target, ends, checkpoint, tmp_path):
    models, adapters = pytest.importorskip("model_api.models"), pytest.importorskip("model_api.adapters")
    words = ("--graph-output", "logits", "--output-layout", "NCHW", *ends)
    assert written(checkpoint, target, tmp_path / "a", *words) == 0
    path = str(tmp_path / "a" / Manifest.load(tmp_path / "a").model_file)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # OpenVINO's own default is bfloat16 where the processor has it
    adapter = adapters.OpenvinoAdapter(adapters.create_core(), path, device="CPU", plugin_config=exact)
    model = models.Model.create_model(adapter)
    assert isinstance(model, models.SegmentationModel)
    assert [model.get_label_name(number) for number in range(5)] == [name.replace(" ", "_") for name in CLASSES.names]
    frame = picture(5)
    found, expected = model(frame), logits_in_torch(checkpoint, frame)
    assert np.mean(found.resultImage == expected.argmax(0)) > 0.999
    np.testing.assert_allclose(found.soft_prediction.transpose(2, 0, 1), expected, atol=1e-4)


@pytest.mark.parametrize("words", [(), ("--graph-output", "logits")], ids=["labels", "NHWC"])
def test_model_api_refuses_what_it_would_read_wrong(words, checkpoint, tmp_path):
    models = pytest.importorskip("model_api.models")
    assert written(checkpoint, "openvino", tmp_path / "a", *words) == 0
    with pytest.raises(Exception, match="There is no model with name"):
        models.Model.create_model(str(tmp_path / "a/model.xml"), device="CPU")


@pytest.fixture
def with_float_labels(checkpoint, tmp_path):
    assert written(checkpoint, "tflite", tmp_path / "a") == 0
    return tmp_path / "a/model.tflite"


def test_a_tflite_file_is_also_an_archive_with_the_names_of_its_classes(with_float_labels):
    with zipfile.ZipFile(with_float_labels) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().splitlines() == list(CLASSES.names)


def test_tflites_own_reader_of_metadata_finds_names_normalisation_and_labels(with_float_labels):
    """By the schema in Google's tflite-support, whose wheels need no more than flatbuffers to be read so."""
    schema = pytest.importorskip("tensorflow_lite_support.metadata.metadata_schema_py_generated")
    content = with_float_labels.read_bytes()
    model = tflite.Model.GetRootAsModel(content, 0)
    named = {model.Metadata(n).Name(): model.Metadata(n).Buffer() for n in range(model.MetadataLength())}
    packed = model.Buffers(named[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(packed, 0)
    found = schema.ModelMetadataT.InitFromPackedBuf(packed, 0)
    (graph,) = found.subgraphMetadata
    (entrance,), (exit_,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert entrance.content.contentProperties.colorSpace == schema.ColorSpaceType.RGB
    assert (entrance.name, exit_.name) == (b"frames", b"labels")
    (file,) = exit_.associatedFiles
    assert (file.name, file.type) == (b"labels.txt", schema.AssociatedFileType.TENSOR_VALUE_LABELS)
