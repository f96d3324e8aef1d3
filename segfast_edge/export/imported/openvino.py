"""OpenVINO: a front in place of the file's parameter, and a tail behind the output that has the logits."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops

from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ArtifactError
from segfast_edge.export.common.converter_errors import writing
from segfast_edge.export.common.reading import Reading
from segfast_edge.export.openvino import describe
from segfast_edge.model.normalise import Normalise

INPUT = "frames"


def opened(path: Path, size: tuple[int, int]) -> "OpenVinoFile":
    """Open a file, its batch and size fixed."""
    try:
        return OpenVinoFile(path, size)
    except (RuntimeError, ValueError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ArtifactError(
            f"{path} is no OpenVINO file of one float32 picture 1 x 3 x {size[0]} x {size[1]}: {line}"
        ) from error


class OpenVinoFile:
    """A bare file, compiled in float32."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path, self._size = path, size
        model = self._read()
        self._names = [_name(output, place) for place, output in enumerate(model.outputs)]
        self._compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def _read(self) -> Any:
        model = openvino.Core().read_model(self._path)
        model.reshape([1, 3, *self._size])
        return model

    def run(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the bare file."""
        found = self._compiled([x.numpy()])
        return {name: torch.from_numpy(np.array(found[place])) for place, name in enumerate(self._names)}

    def wrap(self, manifest: Manifest, reading: Reading, folder: Path) -> Manifest:
        """Put both ends on a copy of the file."""
        model = self._read()
        (given,) = model.get_parameters()
        frames = ops.parameter([1, *self._size, 3], np.uint8, name=INPUT)
        frames.set_layout(openvino.Layout("NHWC"))
        given.output(0).replace(_front(frames, manifest).output(0))
        result = model.outputs[self._names.index(str(reading.key))].get_node()
        whole = openvino.Model([_tail(result.input_value(0), manifest, reading)], [frames], "imported")
        whole.input(0).get_tensor().set_names({INPUT})
        whole.output(0).get_tensor().set_names({manifest.output_kind})
        describe(whole, manifest)
        with writing(folder):
            openvino.save_model(whole, folder / manifest.model_file, compress_to_fp16=False)
        return manifest


def _name(output: Any, place: int) -> str:
    return str(output.get_any_name()) if output.get_names() else str(place)


def _front(frames: Any, manifest: Manifest) -> Any:
    """From uint8 frames to normalised planes in the network's order."""
    layer = Normalise(manifest.preprocess)
    planes = ops.transpose(ops.convert(frames, "f32"), np.array([0, 3, 1, 2], np.int64))
    if manifest.preprocess.channel_order == "BGR":
        planes = ops.gather(planes, np.array([2, 1, 0], np.int64), np.int64(1))
    return ops.add(ops.multiply(planes, layer.scale.numpy()), layer.shift.numpy())


def _tail(value: Any, manifest: Manifest, reading: Reading) -> Any:
    """From what the bare file gives to labels, or logits with channels last."""
    if reading.one_logit:
        value = ops.concat([ops.subtract(value, value), value], 1)
    if reading.size is not None:
        linear = reading.mode == "bilinear"
        value = ops.interpolate(
            value,
            np.array(reading.size, np.int64),
            "linear_onnx" if linear else "nearest",
            "sizes",
            coordinate_transformation_mode="half_pixel" if linear else "asymmetric",
            nearest_mode="floor",
            axes=np.array([2, 3], np.int64),
        )
    if manifest.output_kind == "logits":
        return ops.transpose(value, np.array([0, 2, 3, 1], np.int64))
    largest = ops.topk(value, np.int64(1), 1, "max", "none", "i32", stable=False)
    return ops.convert(ops.squeeze(largest.output(1), np.array([1], np.int64)), "u8")
