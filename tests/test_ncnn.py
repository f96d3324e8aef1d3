"""What ncnn cannot do is refused in one line, before it would end the process."""

import numpy as np
import pytest
import tiny_artifacts as tiny
from tiny_export import write_checkpoint

from segfast_edge.errors import ArtifactError, ConversionError
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from targets.common.session import Options
from targets.common.target import open_artifact, target
from targets.engines.ncnn import largest


def test_an_operator_that_ncnn_has_no_layer_for_is_named(tmp_path):
    network = PreparedNetwork(write_checkpoint(tmp_path / "c.pt"))
    with pytest.raises(ConversionError, match=r"no layer for Tensor\.reshape\. Try --target .*, or --lowering native"):
        convert(network, ExportRequest("ncnn", tmp_path / "a", lowering="phases"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "model.param").write_text("7767517\n1 1\nNoSuch x 0 1 image\n"), "no layer NoSuch"),
        (lambda folder: (folder / "model.bin").write_bytes(b""), "model.bin: it is damaged"),
    ],
    ids=["an unknown layer", "no weights"],
)
def test_a_file_that_ncnn_would_crash_on_is_refused(change, says, tmp_path):
    artifact = tiny.write_artifact(tmp_path / "a", "ncnn")
    change(artifact)
    tiny.manifest("ncnn").save(artifact)
    with pytest.raises(ArtifactError, match=says):
        open_artifact(target("x86"), artifact, Options(threads=1))


def test_the_largest_class_is_the_first_of_equals_as_numpy_has_it():
    logits = np.random.default_rng(0).integers(0, 4, (7, 30, 40)).astype(np.float32)
    np.testing.assert_array_equal(largest(logits), logits.argmax(0))
