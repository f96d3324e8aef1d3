"""The float graph written again, with the planned operators in int8 and conversions where the two kinds meet."""

from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import Affine, GraphBuilder, Operator, Tensor
from segfast_edge.export.tflite_writer.int8.plan import (
    FREE,
    INTEGER_VERSION,
    SAME,
    WEIGHTED,
    Plan,
    activations,
    affine,
    averages_whole_windows,
)
from segfast_edge.export.tflite_writer.int8.weights import (
    Incoming,
    Quantized,
    averaging,
    hard_sigmoid,
    quantized,
)
from segfast_edge.export.tflite_writer.reader import Graph


def rewritten(graph: Graph, plan: Plan) -> GraphBuilder:
    """Return the same graph with the plan's operators in int8; inputs and outputs keep their types and names."""
    return _Rewriter(graph, plan).run()


class _Rewriter:
    """Each old tensor may get two new ones, as it was and as int8; a missing one is converted when asked for."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.out = GraphBuilder(f"{graph.description} int8")
        self._own: dict[int, Tensor] = {}
        self._int8: dict[tuple[int, Affine], Tensor] = {}
        self._offsets: dict[int, npt.NDArray[np.float64]] = {}

    def run(self) -> GraphBuilder:
        for name, content in self.graph.metadata.items():
            if name != "min_runtime_version":  # of a float file from an earlier release
                self.out.metadata(name, content)
        for tensor in self.graph.inputs:
            meaning = self.graph.affines.get(tensor.index)
            if self.plan.entrance is not None:  # the same integers, told apart from the mean colour
                meaning = Affine(1.0, self.plan.entrance.affine.zero_point + 128)
            self._own[tensor.index] = self.out.input(tensor.name, tensor.shape, tensor.dtype, meaning)
        if self.plan.entrance is not None:
            self._enter()
        for step in self.graph.operators:
            if self.plan.entrance is None or not self._is_front(step):
                self._write(step)
        for tensor in self.graph.outputs:
            self.out.output(tensor.name, self.own(tensor))
        return self.out

    def own(self, tensor: Tensor) -> Tensor:
        """Return a tensor as it was in the float graph."""
        if tensor.index not in self._own:
            self.out.scope = f"{tensor.name}/float32"
            if tensor.index in self.graph.constants:
                self._own[tensor.index] = self.out.constant(self.graph.constants[tensor.index], "fixed")
            else:
                result = self.out.tensor(tensor.shape, tensor.dtype)
                meaning = self.plan.affines[tensor.index]
                source = [self._int8[tensor.index, meaning]]
                self.out.operator("DEQUANTIZE", source, [result], schema.options("Dequantize"), 2)
                self._own[tensor.index] = result
        return self._own[tensor.index]

    def int8(self, tensor: Tensor, meaning: Affine) -> Tensor:
        """Return a tensor as int8 of a meaning."""
        key = (tensor.index, meaning)
        if key not in self._int8:
            self.out.scope = f"{tensor.name}/int8"
            if tensor.index in self.graph.constants:
                values = _integers(self.graph.constants[tensor.index], meaning)
                self._int8[key] = self.out.constant(values, "fixed", meaning)
            else:
                usual = (tensor.index, self.plan.affines[tensor.index])
                source = self._int8.get(usual) or self.own(tensor)
                result = self.out.tensor(tensor.shape, np.int8, affine=meaning)
                version = 2 if source.dtype == np.int8 else 1
                self.out.operator("QUANTIZE", [source], [result], schema.options("Quantize"), version)
                self._int8[key] = result
        return self._int8[key]

    def _is_front(self, step: Operator) -> bool:
        entrance = self.plan.entrance
        assert entrance is not None
        return entrance.value in step.outputs or entrance.frames in step.inputs

    def _enter(self) -> None:
        """Make the frame int8, exactly: every value moves by 128.

        By way of float32, since XNNPACK takes both steps; QUANTIZE from uint8 straight to int8 it leaves to a kernel
        that took 5 times as long.
        """
        entrance = self.plan.entrance
        assert entrance is not None
        self.out.scope = "input/int8"
        frames = self._own[entrance.frames.index]
        pixels = self.out.tensor(entrance.value.shape)
        self.out.operator("DEQUANTIZE", [frames], [pixels], schema.options("Dequantize"))
        value = self.out.tensor(entrance.value.shape, np.int8, affine=entrance.affine)
        self.out.operator("QUANTIZE", [pixels], [value], schema.options("Quantize"))
        self._int8[entrance.value.index, entrance.affine] = value
        self._offsets[entrance.value.index] = entrance.offsets

    def _write(self, step: Operator) -> None:
        if step not in self.plan.integer:
            inputs = [self.own(tensor) for tensor in step.inputs]
            self.out.scope = step.outputs[0].name
            outputs = [self.out.tensor(each.shape, each.dtype, name=each.name) for each in step.outputs]
            self._own.update({old.index: new for old, new in zip(step.outputs, outputs, strict=True)})
            self.out.operator(step.name, inputs, outputs, step.options, step.version)
        elif step.name == "HARD_SWISH":
            self._hard_swish(step)
        elif step.name in WEIGHTED or averages_whole_windows(step):
            self._weighted(step)
        else:
            self._plain(step)

    def _plain(self, step: Operator) -> None:
        """Write an operator whose float operands all become int8."""
        meaning = self.plan.affines[step.outputs[0].index]
        inputs = []
        for tensor in step.inputs:
            if tensor.dtype != np.float32:
                inputs.append(self.own(tensor))
            elif step.name in SAME or step.name == "AVERAGE_POOL_2D":
                inputs.append(self.int8(tensor, meaning))
            elif tensor.index in self.graph.constants:
                values = self.graph.constants[tensor.index]
                inputs.append(self.int8(tensor, affine(float(values.min()), float(values.max()))))
            else:
                inputs.append(self.int8(tensor, self.plan.affines[tensor.index]))
        outputs = [self._result(each, meaning) for each in step.outputs]
        if step.name == "PAD" and step.inputs[0].index in self._offsets:
            self._offsets[step.outputs[0].index] = self._offsets[step.inputs[0].index]
        self.out.operator(step.name, inputs, outputs, step.options, max(INTEGER_VERSION[step.name], step.version))

    def _weighted(self, step: Operator) -> None:
        """Write a convolution or a fully connected layer, weights per output channel and bias in their product."""
        (source,) = activations(self.graph, step)
        meaning = self.plan.affines[source.index]
        incoming = self.int8(source, meaning)
        name, options, weights = self._weights(step, meaning)
        inputs = [incoming, *self._layer(weights, meaning)]
        if name == "TRANSPOSE_CONV":
            inputs = [self.own(step.inputs[0]), inputs[1], incoming, inputs[2]]
        result = self._result(step.outputs[0], self.plan.affines[step.outputs[0].index])
        version = 3 if step.name == "AVERAGE_POOL_2D" else max(WEIGHTED[step.name], step.version)
        self.out.operator(name, inputs, [result], options, version)

    def _hard_swish(self, step: Operator) -> None:
        """Write hardswish as the product of x and its hardsigmoid, since XNNPACK has no hardswish in int8."""
        (source,) = step.inputs
        meaning = self.plan.affines[source.index]
        name, options, weights = hard_sigmoid(source.shape[-1], Incoming(meaning.scales[0]))
        self.out.scope = f"{step.outputs[0].name}/gate"
        gate = self.out.tensor(source.shape, np.int8, affine=Affine(1 / 255, -128))
        incoming = self.int8(source, meaning)
        self.out.operator(name, [incoming, *self._layer(weights, meaning)], [gate], options, WEIGHTED[name])
        result = self._result(step.outputs[0], self.plan.affines[step.outputs[0].index])
        self.out.operator("MUL", [incoming, gate], [result], schema.options("Mul"), FREE["MUL"])

    def _layer(self, weights: Quantized, meaning: Affine) -> list[Tensor]:
        """Return weights and bias as tensors."""
        values = self.out.constant(weights.values, "weights", Affine(weights.scales, 0, weights.axis))
        sums = Affine(tuple(scale * meaning.scales[0] for scale in weights.scales))
        return [values, self.out.constant(weights.bias, "bias", sums)]

    def _weights(self, step: Operator, meaning: Affine) -> tuple[str, Any, Quantized]:
        if step.name == "AVERAGE_POOL_2D":
            return averaging(step, Incoming(meaning.scales[0]))
        weights, bias = (self.graph.constants[step.inputs[place].index] for place in (1, -1))
        (source,) = activations(self.graph, step)
        # a transposed convolution's taps reach different outputs, so no one mean tells what rounding changes there
        means = None if step.name == "TRANSPOSE_CONV" else self.plan.means[source.index]
        incoming = Incoming(meaning.scales[0], self._offsets.get(source.index), means)
        return step.name, step.options, quantized(step.name, weights, bias, incoming)

    def _result(self, tensor: Tensor, meaning: Affine) -> Tensor:
        self.out.scope = f"{tensor.name}/int8" if tensor in self.graph.outputs else tensor.name
        result = self.out.tensor(tensor.shape, np.int8, affine=meaning)
        self._int8[tensor.index, meaning] = result
        return result


def _integers(values: npt.NDArray[Any], meaning: Affine) -> npt.NDArray[np.int8]:
    steps = np.round(values.astype(np.float64) / meaning.scales[0]) + meaning.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)
