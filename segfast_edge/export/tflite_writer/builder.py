"""A TFLite file under construction: tensors, buffers stored once each, operators, signature, metadata."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from segfast_edge.errors import ConversionError
from segfast_edge.export.tflite_writer import schema

MAX_BYTES = 2**31 - 2**20  # flatbuffers address 2 GiB; a mebibyte is left for everything that is not weights
SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the file: its number there, name, shape and element type."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Operator:
    """One step: an operator such as ``CONV_2D`` in a version, the tensors it reads and writes, and its options."""

    name: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any


@dataclass(frozen=True, slots=True)
class Affine:
    """The value of an integer: ``(integer - zero_point) * scale``; several scales lie along ``axis``."""

    scale: float | tuple[float, ...]
    zero_point: int = 0
    axis: int = 0

    @property
    def scales(self) -> tuple[float, ...]:
        """All scales."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)


class GraphBuilder:
    """Collects one graph and gives it as the bytes of a ``.tflite`` file.

    ``scope`` names the layer being written; tensors are called after it.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        self.scope = "main"
        self.operators: list[Operator] = []
        self.transposed: dict[
            int, tuple[Tensor, tuple[int, ...]]
        ] = {}  # tensor -> of what it is the axes in which order
        self.reshaped: dict[int, Tensor] = {}  # tensor -> what it was before its shape changed
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._tensors: list[Any] = []
        self._buffers: list[npt.NDArray[np.uint8] | None] = [None]  # number 0 is the empty one, by the schema
        self._buffer_of: dict[bytes, int] = {}
        self._constants: dict[tuple[int, tuple[int, ...], str, Affine | None], Tensor] = {}
        self._names: dict[str, int] = {}
        self._metadata: dict[str, int] = {}

    def tensor(
        self,
        shape: Sequence[int],
        dtype: npt.DTypeLike = np.float32,
        *,
        affine: Affine | None = None,
        name: str | None = None,
    ) -> Tensor:
        """Add a tensor that an operator or the caller fills, named after the scope; a taken name gets a number."""
        return self._add(name or self.scope, tuple(map(int, shape)), np.dtype(dtype), 0, affine)

    def constant(self, values: npt.ArrayLike, role: str, affine: Affine | None = None) -> Tensor:
        """Add a tensor of fixed values, or return the one there is with the same values; ``role`` ends its name."""
        array = np.asarray(values, order="C")
        buffer = self._buffer(array)
        key = (buffer, array.shape, array.dtype.str, affine)
        if key not in self._constants:
            self._constants[key] = self._add(f"{self.scope}/{role}", array.shape, array.dtype, buffer, affine)
        return self._constants[key]

    def values(self, tensor: Tensor) -> npt.NDArray[Any] | None:
        """Return a constant's values; None for a tensor that is computed."""
        content = self._buffers[self._tensors[tensor.index].buffer]
        return None if content is None else content.view(tensor.dtype).reshape(tensor.shape)

    def compute(self, tensor: Tensor) -> None:
        """Drop a constant's values: from now on an operator fills the tensor."""
        written = self._tensors[tensor.index]
        if sum(each.buffer == written.buffer for each in self._tensors) == 1:
            self._buffers[written.buffer] = None
            self._buffer_of = {digest: place for digest, place in self._buffer_of.items() if place != written.buffer}
        written.buffer = 0

    def input(self, name: str, shape: Sequence[int], dtype: npt.DTypeLike, affine: Affine | None = None) -> Tensor:
        """Add a tensor that the caller fills."""
        self._inputs.append(self.tensor(shape, dtype, affine=affine, name=name))
        return self._inputs[-1]

    def output(self, name: str, tensor: Tensor) -> None:
        """Hand a tensor to the caller under a name."""
        assert name == tensor.name or name not in self._names
        self._names[name] = 0
        self._tensors[tensor.index].name = name
        self._outputs.append(replace(tensor, name=name))

    def operator(
        self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], options: Any = None, version: int = 1
    ) -> None:
        """Append a step."""
        self.operators.append(Operator(name, version, tuple(inputs), tuple(outputs), options))

    def metadata(self, name: str, content: bytes) -> None:
        """Store bytes in the file under a name; runtimes ignore them."""
        self._metadata[name] = self._buffer(np.frombuffer(content, np.uint8))

    def serialise(self) -> bytearray:
        """Return the file's bytes, without operators whose results nothing reads.

        Raises:
            ConversionError: it would pass the 2 GiB that a flatbuffer can address.
        """
        self._drop_unread()
        used = sorted({(step.name, step.version) for step in self.operators})
        size = sum(len(buffer) for buffer in self._buffers if buffer is not None)
        if size > MAX_BYTES:
            raise ConversionError(f"the network holds {size / 2**30:.2f} GiB of weights; a TFLite file takes 2 at most")
        model = self._model(used)
        packer = flatbuffers.Builder(size + 2**20)
        packer.Finish(model.Pack(packer), schema.FILE_IDENTIFIER)
        return bytearray(packer.Output())

    def _drop_unread(self) -> None:
        read = {tensor.index for tensor in self._outputs}
        kept = []
        for step in reversed(self.operators):
            if any(tensor.index in read for tensor in step.outputs):
                kept.append(step)
                read.update(tensor.index for tensor in step.inputs)
        self.operators = kept[::-1]

    def _add(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], buffer: int, affine: Affine | None
    ) -> Tensor:
        tensor = Tensor(len(self._tensors), self._free_name(name), shape, dtype)
        written = schema.generated.TensorT()
        written.name, written.type, written.buffer = tensor.name, schema.element_type(dtype), buffer
        written.shape, written.hasRank = np.asarray(shape, np.int32), True
        if affine is not None:
            quantization = schema.generated.QuantizationParametersT()
            quantization.scale = np.array(affine.scales, np.float32)
            quantization.zeroPoint = np.full(len(affine.scales), affine.zero_point, np.int64)
            quantization.quantizedDimension = affine.axis
            written.quantization = quantization
        self._tensors.append(written)
        return tensor

    def _free_name(self, name: str) -> str:
        """Return the name itself, or with a number behind it where it is taken; quantizers tell tensors by name."""
        free = name
        while free in self._names:
            self._names[name] += 1
            free = f"{name}_{self._names[name]}"
        self._names[free] = 0
        return free

    def _buffer(self, array: npt.NDArray[Any]) -> int:
        content = array.reshape(-1).view(np.uint8)
        digest = hashlib.sha256(content.data).digest()
        if digest not in self._buffer_of:
            self._buffer_of[digest] = len(self._buffers)
            self._buffers.append(content)
        return self._buffer_of[digest]

    def _model(self, used: list[tuple[str, int]]) -> Any:
        model = schema.generated.ModelT()
        model.version, model.description = schema.SCHEMA_VERSION, self.description
        model.operatorCodes = [_operator_code(*code) for code in used]
        model.buffers = [_AlignedBuffer(content) for content in self._buffers]
        model.subgraphs = [self._subgraph({code: number for number, code in enumerate(used)})]
        model.signatureDefs = [self._signature()]
        model.metadata = []
        for name, buffer in self._metadata.items():
            entry = schema.generated.MetadataT()
            entry.name, entry.buffer = name, buffer
            model.metadata.append(entry)
        return model

    def _subgraph(self, code_of: dict[tuple[str, int], int]) -> Any:
        graph = schema.generated.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", self._tensors, []
        graph.inputs = [tensor.index for tensor in self._inputs]
        graph.outputs = [tensor.index for tensor in self._outputs]
        for step in self.operators:
            written = schema.generated.OperatorT()
            written.opcodeIndex = code_of[step.name, step.version]
            written.inputs = [tensor.index for tensor in step.inputs]
            written.outputs = [tensor.index for tensor in step.outputs]
            if step.options is not None:
                written.builtinOptions = step.options
                table = type(step.options).__name__.removesuffix("T")
                written.builtinOptionsType = getattr(schema.generated.BuiltinOptions, table)
            graph.operators.append(written)
        return graph

    def _signature(self) -> Any:
        signature = schema.generated.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
        signature.inputs = [_tensor_map(tensor) for tensor in self._inputs]
        signature.outputs = [_tensor_map(tensor) for tensor in self._outputs]
        return signature


def _operator_code(name: str, version: int) -> Any:
    code = schema.generated.OperatorCodeT()
    code.builtinCode, code.version = schema.operator_number(name), version
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # what readers from before 2.4 look at
    return code


def _tensor_map(tensor: Tensor) -> Any:
    entry = schema.generated.TensorMapT()
    entry.name, entry.tensorIndex = tensor.name, tensor.index
    return entry


class _AlignedBuffer:
    """A buffer whose data is aligned as the schema asks, which the generated ``BufferT`` forgets."""

    def __init__(self, content: npt.NDArray[np.uint8] | None) -> None:
        self.content = content

    def pack(self, builder: Any) -> int:
        data = 0
        if self.content is not None:
            builder.StartVector(1, len(self.content), schema.ALIGNMENT)
            builder.head = builder.Head() - len(self.content)
            builder.Bytes[builder.Head() : builder.Head() + len(self.content)] = self.content.data
            data = builder.EndVector()
        schema.generated.BufferStart(builder)
        if self.content is not None:
            schema.generated.BufferAddData(builder, data)
        return int(schema.generated.BufferEnd(builder))

    Pack = pack  # what the generated ``ModelT`` calls
