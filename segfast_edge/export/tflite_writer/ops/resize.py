"""Interpolation to another size."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.linear_map import apply_separable, probe
from segfast_edge.export.tflite_writer.torch_trace import Call, shape_of
from segfast_edge.export.tflite_writer.translate import Translation


def upsample_bilinear2d(t: Translation, call: Call) -> Tensor:
    """Linear interpolation, corners aligned or half-pixel centres."""
    aligned = bool(call["align_corners"])
    if not aligned and not _follows_sizes(call):
        return _resampled(t, call, partial(F.interpolate, mode="bilinear", align_corners=False))
    options = schema.options("ResizeBilinear", alignCorners=aligned, halfPixelCenters=not aligned)
    return _resized(t, call, "RESIZE_BILINEAR", options, 1 if aligned else 3)


def upsample_nearest2d(t: Translation, call: Call) -> Tensor:
    """The element that an output's top left corner falls on."""
    if not _follows_sizes(call):
        return _resampled(t, call, partial(F.interpolate, mode="nearest"))
    options = schema.options("ResizeNearestNeighbor", alignCorners=False, halfPixelCenters=False)
    return _resized(t, call, "RESIZE_NEAREST_NEIGHBOR", options, 1)


def upsample_nearest_exact2d(t: Translation, call: Call) -> Tensor:
    """The element that an output's centre falls on."""
    if not _follows_sizes(call):
        return _resampled(t, call, partial(F.interpolate, mode="nearest-exact"))
    options = schema.options("ResizeNearestNeighbor", alignCorners=False, halfPixelCenters=True)
    return _resized(t, call, "RESIZE_NEAREST_NEIGHBOR", options, 3)


def upsample_bicubic2d(t: Translation, call: Call) -> Tensor:
    """Cubic interpolation, which TFLite has no operator for."""
    return _resampled(t, call, partial(F.interpolate, mode="bicubic", align_corners=bool(call["align_corners"])))


def _follows_sizes(call: Call) -> bool:
    """Whether places follow from the two sizes alone; torch goes by a scale factor where it was given one."""
    factors = call.arguments.get("scale_factors")
    if factors is None:
        return True
    before = shape_of(call["input"])
    return all(abs(before[2 + axis] * factor - call.shape[2 + axis]) < 1e-6 for axis, factor in enumerate(factors))


def _resized(t: Translation, call: Call, operator: str, options: object, version: int) -> Tensor:
    x = t.tensor(call["input"])
    wanted = call.shape[2:]
    if weightless.size(x) == wanted:
        return x
    result = t.graph.tensor((x.shape[0], *wanted, x.shape[weightless.CHANNELS]))
    sizes = t.graph.constant(np.array(wanted, np.int32), "size")
    t.graph.operator(operator, [x, sizes], [result], options, version)
    return result


def _resampled(t: Translation, call: Call, interpolate: Callable[..., torch.Tensor]) -> Tensor:
    x = t.tensor(call["input"])
    factors = call.arguments.get("scale_factors")
    matrices = []
    for axis in (0, 1):
        how = {"size": (call.shape[2 + axis], 1)} if factors is None else {"scale_factor": (factors[axis], 1.0)}
        matrices.append(probe(partial(interpolate, **how), weightless.size(x)[axis]))
    return apply_separable(t.graph, x, *matrices)
