"""What TensorFlow Lite's metadata readers and Netron look for: names, colour order, and a list of labels.

The description is a flatbuffer of its own in a buffer of the file, by TensorFlow's public ``metadata_schema.fbs``
(identifier M001); the list is a text file in an archive behind the model, which readers of the model never get to.
"""

import io
import zipfile
from collections.abc import Mapping

import flatbuffers

from segfast_edge.contract.manifest import Manifest

NAME = "TFLITE_METADATA"
FILE = "labels.txt"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # the oldest release of the readers that knows all fields below
_RGB, _IMAGE = 1, 2  # ColorSpaceType, and the kind of ContentProperties
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # AssociatedFileType: one label for each place of the last axis, or for each value
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that the same network gives the same file


def described(manifest: Manifest) -> bytes:
    """Return the description."""
    builder = flatbuffers.Builder(1024)
    kind = _VALUE_LABELS if manifest.output_kind == "labels" else _AXIS_LABELS
    file = _table(builder, {0: builder.CreateString(FILE)}, {2: kind}, 5)
    colours = _table(builder, {}, {0: _RGB}, 2)
    content = _table(builder, {1: colours}, {0: _IMAGE}, 3)
    entrance = _table(builder, {0: builder.CreateString(manifest.input.name), 3: content}, {}, 7)
    exit_ = _table(builder, {0: builder.CreateString(manifest.output.name), 6: _vector(builder, file)}, {}, 7)
    graph = _table(builder, {2: _vector(builder, entrance), 3: _vector(builder, exit_)}, {}, 10)
    name = builder.CreateString(str(manifest.provenance.get("network", "")))
    whole = {0: name, 3: _vector(builder, graph), 7: builder.CreateString(_PARSER)}
    builder.Finish(_table(builder, whole, {}, 8), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def with_labels(content: bytes | bytearray, manifest: Manifest) -> bytes:
    """Return a model with the archive behind it."""
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FILE, _LONG_AGO), "".join(f"{name}\n" for name in manifest.classes.names))
    return whole.getvalue()


def _table(builder: flatbuffers.Builder, offsets: Mapping[int, int], numbers: Mapping[int, int], fields: int) -> int:
    """Write a table with what lies elsewhere and small numbers, by the places of its fields in the schema."""
    builder.StartObject(fields)
    for place, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(place, offset, 0)
    for place, number in numbers.items():
        builder.PrependUint8Slot(place, number, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, only: int) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(only)
    return int(builder.EndVector())
