"""A written ``.tflite`` file read back, to make another one of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.errors import ConversionError
from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import Affine, Operator, Tensor


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph: its operators in order, the values of fixed tensors and the meaning of integers by tensor number."""

    description: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[int, npt.NDArray[Any]]
    affines: Mapping[int, Affine]
    metadata: Mapping[str, bytes]

    def producer(self, tensor: Tensor) -> Operator | None:
        """Return the operator that writes a tensor, if one does."""
        return next((step for step in self.operators if tensor in step.outputs), None)

    def readers(self, tensor: Tensor) -> list[Operator]:
        """Return the operators that read a tensor, in order."""
        return [step for step in self.operators if tensor in step.inputs]


def read(content: bytes) -> Graph:
    """Read a file with one graph.

    Raises:
        ConversionError: it is not a TFLite file, or has several graphs.
    """
    if content[4:8] != schema.FILE_IDENTIFIER:
        raise ConversionError("this is not a TFLite file")
    model = schema.generated.ModelT.InitFromPackedBuf(content)
    if len(model.subgraphs) != 1:
        raise ConversionError(f"the TFLite file holds {len(model.subgraphs)} graphs; one is supported")
    graph = model.subgraphs[0]
    tensors, constants, affines = [], {}, {}
    for index, stored in enumerate(graph.tensors):
        dtype = schema.numpy_type(stored.type)
        shape = () if stored.shape is None else tuple(int(extent) for extent in stored.shape)
        tensors.append(Tensor(index, stored.name.decode(), shape, dtype))
        data = model.buffers[stored.buffer].data
        if data is not None:
            constants[index] = np.frombuffer(bytes(data), dtype).reshape(shape)
        if stored.quantization is not None and stored.quantization.scale is not None:
            scales = tuple(float(scale) for scale in stored.quantization.scale)
            zero = int(stored.quantization.zeroPoint[0])
            axis = int(stored.quantization.quantizedDimension)
            affines[index] = Affine(scales if len(scales) > 1 else scales[0], zero, axis)
    names = {number: name for name, number in vars(schema.generated.BuiltinOperator).items() if isinstance(number, int)}
    codes = [(names[code.builtinCode], code.version) for code in model.operatorCodes]
    return Graph(
        description=(model.description or b"").decode(),
        inputs=tuple(tensors[index] for index in graph.inputs),
        outputs=tuple(tensors[index] for index in graph.outputs),
        operators=tuple(_operator(step, codes, tensors) for step in graph.operators),
        constants=constants,
        affines=affines,
        metadata={entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata or ()},
    )


def _operator(stored: Any, codes: list[tuple[str, int]], tensors: list[Tensor]) -> Operator:
    name, version = codes[stored.opcodeIndex]
    inputs = tuple(tensors[index] for index in stored.inputs)
    outputs = tuple(tensors[index] for index in stored.outputs)
    return Operator(name, version, inputs, outputs, stored.builtinOptions)
