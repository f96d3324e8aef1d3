"""ncnn on the processor. Its graph is from float planes to logits, so bytes become planes here and logits labels."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError
from targets.common.session import PRECISIONS, Options, executed_layers, import_runtime, unreadable

_WEIGHTED = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise", "InnerProduct")


def runtime() -> ModuleType:
    """Import ncnn."""
    return import_runtime("ncnn")


def load(artifact: Path, manifest: Manifest, options: Options) -> "NcnnSession":
    """Read layers and weights, on a fixed number of threads and in float32 unless 16-bit storage is asked for."""
    ncnn = runtime()
    path = artifact / manifest.model_file
    _refuse_unknown(ncnn, path)
    net = ncnn.Net()
    settings = net.opt
    settings.num_threads = options.thread_count
    settings.use_vulkan_compute = False
    settings.use_fp16_storage = settings.use_fp16_packed = options.precision == "f16"
    # its own defaults compute in float16 and bfloat16 where the processor has them
    settings.use_fp16_arithmetic = settings.use_bf16_storage = False
    for read, file in ((net.load_param, path), (net.load_model, path.with_suffix(".bin"))):
        if read(str(file)) != 0:
            raise unreadable(file, "ncnn", ValueError("it is damaged, or not for this release"))
    return NcnnSession(ncnn, net, manifest)


def _refuse_unknown(ncnn: ModuleType, path: Path) -> None:
    """Raise ArtifactError for a layer that this release does not have: running into one ends the process."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[2:]
    except (OSError, ValueError) as error:
        raise unreadable(path, "ncnn", error) from error
    for kind in dict.fromkeys(line.split()[0] for line in lines if line.strip()):
        if ncnn.layer_to_index(kind) < 0:
            raise unreadable(path, "ncnn", ValueError(f"this release has no layer {kind}"))


class NcnnSession:
    """A network that is loaded; each run has an extractor of its own."""

    def __init__(self, ncnn: ModuleType, net: Any, manifest: Manifest) -> None:
        self._ncnn = ncnn
        self._net = net
        self._manifest = manifest

    def run(self, batch: Frame) -> RawOutput:
        """Turn the bytes into planes, run, and take the largest class unless logits are asked for."""
        mat = self._ncnn.Mat
        frame = np.ascontiguousarray(batch[0])  # it reads the bytes in a row, whatever the array's strides
        planes = mat.from_pixels(frame, mat.PixelType.PIXEL_RGB, frame.shape[1], frame.shape[0])
        with self._net.create_extractor() as extractor:
            extractor.input(self._manifest.input.name, planes)
            status, found = extractor.extract(self._manifest.output.name)
            if status != 0:
                raise TargetError(f"ncnn did not run the network (status {status}); it may have no memory for it")
            logits = np.array(found)
        if self._manifest.output_kind == "logits":
            return np.ascontiguousarray(logits.transpose(1, 2, 0)[np.newaxis])
        return largest(logits)[np.newaxis]

    def facts(self) -> Mapping[str, Any]:
        """Derive the precision from what each layer with weights can store in on this processor."""
        half = self._net.opt.use_fp16_storage
        weighted = [layer for layer in self._net.layers() if layer.type in _WEIGHTED]
        stored = [PRECISIONS["f16" if half and layer.support_fp16_storage else "f32"] for layer in weighted]
        return {
            **executed_layers(zip((layer.name for layer in weighted), stored, strict=True)),
            "versions": {"ncnn": self._ncnn.__version__, "numpy": np.__version__},
        }


def largest(logits: RawOutput) -> RawOutput:
    """Return the class of the largest logit, uint8 H x W, of classes x H x W: the first of equals, as argmax has it.

    Plane by plane, which is faster than numpy's argmax over the first axis.
    """
    best, labels = logits[0].copy(), np.zeros(logits.shape[1:], np.uint8)
    for label, plane in enumerate(logits[1:], 1):
        better = plane > best
        np.copyto(best, plane, where=better)
        labels[better] = label
    return labels
