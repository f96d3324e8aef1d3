"""The tiny network as TFLite, operator by operator with the schema in LiteRT's wheel."""

from pathlib import Path

import numpy as np
from tiny_network import BIAS, CLASSES, HEIGHT, WEIGHTS, WIDTH


def write(path: Path) -> None:
    """Write the model file."""
    from ai_edge_litert import schema_py_generated as schema

    buffers, tensors, codes, operators = [schema.BufferT()], [], [], []

    def tensor(name, shape, kind, data=None):
        place = 0
        if data is not None:
            buffers.append(schema.BufferT(data=np.frombuffer(data.tobytes(), np.uint8)))
            place = len(buffers) - 1
        tensors.append(schema.TensorT(name=name.encode(), shape=list(shape), type=kind, buffer=place))
        return len(tensors) - 1

    def operator(code, inputs, output, options_type=0, options=None):
        codes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1))
        operators.append(
            schema.OperatorT(
                opcodeIndex=len(codes) - 1,
                inputs=inputs,
                outputs=[output],
                builtinOptionsType=options_type,
                builtinOptions=options,
            )
        )

    kinds, ops, options = schema.TensorType, schema.BuiltinOperator, schema.BuiltinOptions
    image = tensor("image", (1, HEIGHT, WIDTH, 3), kinds.UINT8)
    floats = tensor("float", (1, HEIGHT, WIDTH, 3), kinds.FLOAT32)
    weights = tensor("weights", (CLASSES, 1, 1, 3), kinds.FLOAT32, (WEIGHTS / 255).astype(np.float32))
    bias = tensor("bias", (CLASSES,), kinds.FLOAT32, BIAS)
    scores = tensor("scores", (1, HEIGHT, WIDTH, CLASSES), kinds.FLOAT32)
    axis = tensor("axis", (1,), kinds.INT32, np.array([3], np.int32))
    best = tensor("best", (1, HEIGHT, WIDTH), kinds.INT32)
    labels = tensor("labels", (1, HEIGHT, WIDTH), kinds.UINT8)
    operator(ops.CAST, [image], floats)
    convolution = schema.Conv2DOptionsT(strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    operator(ops.CONV_2D, [floats, weights, bias], scores, options.Conv2DOptions, convolution)
    argmax = schema.ArgMaxOptionsT(outputType=kinds.INT32)
    operator(ops.ARG_MAX, [scores, axis], best, options.ArgMaxOptions, argmax)
    operator(ops.CAST, [best], labels)
    graph = schema.SubGraphT(tensors=tensors, inputs=[image], outputs=[labels], operators=operators)
    model = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=buffers)
    import flatbuffers

    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
