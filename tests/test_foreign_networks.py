"""Networks that are not ours, and what is refused of them: by operator and layer, with the way round it."""

import pytest
from tiny_export import write_checkpoint

from segfast_edge.errors import ConversionError
from segfast_edge.export.convert import ExportRequest, Source, convert

SIZE = (64, 96)


def test_an_operator_that_our_tflite_writer_lacks_is_named_with_its_layer_and_the_other_converter(tmp_path):
    source = Source(write_checkpoint(tmp_path / "a.pt", "foreign_networks:summed", size=SIZE))
    with pytest.raises(ConversionError, match=r"layer '1': cumsum is not covered.*--converter litert-torch"):
        convert(source, ExportRequest("tflite", tmp_path / "a"))


def test_a_network_that_gives_a_dictionary_is_told_what_to_take_of_it(tmp_path):
    source = Source(write_checkpoint(tmp_path / "a.pt", "foreign_networks:dictionary", size=SIZE))
    with pytest.raises(ConversionError, match=r"gives a dictionary \(out\).*returns its logits from forward"):
        convert(source, ExportRequest("torchscript", tmp_path / "a"))
