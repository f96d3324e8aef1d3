"""Bilinear enlargement by two in four phases: what torch computes, labels taken before it is put together."""

import openvino
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_export import write_checkpoint

from segfast_edge.contract.layer_times import RESAMPLING
from segfast_edge.export.common.bilinear_doubling import Doubled
from segfast_edge.export.common.graph import deployable
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.model.blocks import crop, resize
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.zoo.segfast_fast import SegFastFast


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_what_torch_computes(data):
    classes, height, width = (data.draw(st.integers(1, most)) for most in (13, 9, 9))
    size = data.draw(st.integers(1, 2 * height)), data.draw(st.integers(1, 2 * width))
    half = torch.randn(
        1, classes, height, width, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    )
    expected = crop(resize(half, (2 * height, 2 * width)), size)
    torch.testing.assert_close(Doubled(classes, size, labels=False)(half), expected, rtol=0, atol=1e-6)
    found = Doubled(classes, size, labels=True)(half)
    assert found.dtype == torch.uint8
    chosen = expected.gather(1, found[:, None].long())[:, 0]
    torch.testing.assert_close(chosen, expected.amax(1), rtol=0, atol=1e-6)  # near a tie either class is right


@pytest.mark.parametrize("network", ["segfast", "segfast_fast", "segfast_basic"])
@pytest.mark.parametrize("kind", ["labels", "logits"])
def test_a_graph_computes_the_same_without_it(tmp_path, network, kind):
    checkpoint = Checkpoint.load(write_checkpoint(tmp_path / "a.pt", network, size=(24, 40)))  # padded to 32 x 48
    graph = deployable(checkpoint, kind)
    rewritten = graph.lowered(resizing=False)
    assert rewritten.doubled is not None
    found, expected = rewritten(graph.example()), graph(graph.example())
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if kind == "logits":
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    else:
        assert len(expected.unique()) > 1
        assert (found == expected).float().mean() > 0.99  # near a tie either class is right


def test_a_network_that_enlarges_in_another_way_stays_as_it_is(tmp_path):
    graph = deployable(Checkpoint.load(write_checkpoint(tmp_path / "a.pt", "fast_scnn", size=(64, 64))))
    assert graph.lowered(resizing=False).doubled is None


class Brighter(SegFastFast):
    def forward(self, x):
        return super().forward(x) + 1


def test_a_network_with_a_forward_of_its_own_stays_as_it_is(tmp_path):
    graph = deployable(Checkpoint.load(write_checkpoint(tmp_path / "a.pt", "segfast_fast", size=(32, 48))))
    assert graph.lowered(resizing=False).doubled is not None
    graph.network = Brighter(len(graph.classes)).eval()
    assert graph.lowered(resizing=False).doubled is None


def test_openvino_resizes_nothing_and_counts_the_enlargement_as_no_layer(tmp_path):
    source = PreparedNetwork(write_checkpoint(tmp_path / "a.pt", "segfast_fast", size=(32, 48)))
    manifest = convert(source, ExportRequest("openvino", tmp_path / "a"))
    operators = openvino.Core().read_model(tmp_path / "a" / "model.xml").get_ops()
    assert "Interpolate" not in {each.get_type_name() for each in operators}
    phases = [each for each in operators if each.get_friendly_name().startswith(RESAMPLING)]
    assert [each.get_type_name() for each in phases].count("GroupConvolution") == 4
    layers = manifest.parity["executed_layers"]
    assert layers
    assert all("network." in name for name, _ in layers)
