"""Weights and biases as integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import Operator

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}  # a fully connected layer has one scale
LARGEST = 127  # symmetric: -128 is not used
LARGEST_BIAS = 2**30  # leaves room for the sum that it starts


@dataclass(frozen=True, slots=True)
class Quantized:
    """Integer weights with a scale for each place along ``axis``, and the integer bias for a given input scale."""

    values: npt.NDArray[np.int8]
    scales: tuple[float, ...]
    axis: int
    bias: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Incoming:
    """The input of a layer: its scale, the error per channel (which goes into the bias), and the mean per channel."""

    scale: float
    offsets: npt.NDArray[np.float64] | None = None
    means: npt.NDArray[np.float64] | None = None


def quantized(
    operator: str, weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], incoming: Incoming
) -> Quantized:
    """Quantize a layer's weights and bias; the bias also makes up for what rounded weights change on average."""
    axis = CHANNEL_AXIS.get(operator)
    exact = weights.astype(np.float64)
    whole = bias.astype(np.float64)
    if incoming.offsets is not None:
        whole = whole + _response(operator, exact, incoming.offsets)
    others = tuple(number for number in range(exact.ndim) if number != axis)
    largest = np.atleast_1d(np.abs(exact).max(axis=others if axis is not None else None))
    # a channel of nearly nothing but bias must not overflow the 32 bits of it
    least = np.abs(whole).reshape(len(largest), -1).max(axis=1) / (LARGEST_BIAS * incoming.scale)
    scales = np.maximum(np.maximum(largest / LARGEST, least), 1e-12).astype(np.float32).astype(np.float64)
    shape = [1] * exact.ndim
    if axis is not None:
        shape[axis] = -1
    values = np.clip(np.round(exact / scales.reshape(shape)), -LARGEST, LARGEST).astype(np.int8)
    if incoming.means is not None:
        whole = whole - _response(operator, values * scales.reshape(shape) - exact, incoming.means)
    sums = np.round(whole / (np.broadcast_to(scales, whole.shape) * incoming.scale)).astype(np.int32)
    return Quantized(values, tuple(float(scale) for scale in scales), axis or 0, sums)


def averaging(step: Operator, incoming: Incoming) -> tuple[str, Any, Quantized]:
    """Return average pooling as a depthwise convolution with equal weights.

    XNNPACK has no int8 average pooling, and a step that it leaves to another kernel cuts the network in two.
    """
    pool, channels = step.options, step.inputs[0].shape[3]
    options = _depthwise(
        padding=pool.padding,
        strideH=pool.strideH,
        strideW=pool.strideW,
        fusedActivationFunction=pool.fusedActivationFunction,
    )
    count = pool.filterHeight * pool.filterWidth
    weights = np.full((1, pool.filterHeight, pool.filterWidth, channels), 1 / count, np.float32)
    nothing = np.zeros(channels, np.float32)
    return "DEPTHWISE_CONV_2D", options, quantized("DEPTHWISE_CONV_2D", weights, nothing, incoming)


def hard_sigmoid(channels: int, incoming: Incoming) -> tuple[str, Any, Quantized]:
    """Return ``x / 6 + 1 / 2`` as a depthwise convolution; limits of 0 and 1 are those of the result's integers."""
    weights, half = np.full((1, 1, 1, channels), 1 / 6, np.float32), np.full(channels, 0.5, np.float32)
    options = _depthwise(padding=schema.generated.Padding.VALID, strideH=1, strideW=1)
    return "DEPTHWISE_CONV_2D", options, quantized("DEPTHWISE_CONV_2D", weights, half, incoming)


def _depthwise(**fields: Any) -> Any:
    return schema.options("DepthwiseConv2D", depthMultiplier=1, dilationHFactor=1, dilationWFactor=1, **fields)


def _response(
    operator: str, weights: npt.NDArray[np.float64], offsets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return what constant inputs, one value per channel, add to each output."""
    if operator == "FULLY_CONNECTED":
        return np.asarray(weights @ offsets)
    if operator == "DEPTHWISE_CONV_2D":
        multiplier = weights.shape[3] // len(offsets)
        return np.asarray(weights.sum(axis=(0, 1, 2)) * np.repeat(offsets, multiplier))
    sums = weights.sum(axis=(1, 2))
    groups = len(offsets) // sums.shape[1]
    blocks, values = sums.reshape(groups, -1, sums.shape[1]), offsets.reshape(groups, -1, 1)
    return np.asarray((blocks @ values).reshape(-1))
