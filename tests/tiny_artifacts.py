"""Real artifacts of a network so small that every runtime opens it in milliseconds, built with the runtimes' own tools.

The network is one 1x1 convolution from three channels to five scores, and argmax: label = argmax(W x / 255 + b).
"""

import warnings
from pathlib import Path

import numpy as np

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.images import write_picture
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, MODEL_FILES, Manifest, TensorSpec
from segfast_edge.contract.preprocess import Preprocess

HEIGHT, WIDTH, CLASSES = 32, 48, 5
FORMATS = tuple(MODEL_FILES)

_RNG = np.random.default_rng(7)
WEIGHTS = _RNG.normal(size=(CLASSES, 3)).astype(np.float32)
BIAS = _RNG.normal(scale=0.1, size=CLASSES).astype(np.float32)


def expected(batch: np.ndarray) -> np.ndarray:
    """Return the labels of uint8 [1, H, W, 3] by numpy."""
    scores = (batch.astype(np.float32) / 255) @ WEIGHTS.T + BIAS
    return scores.argmax(axis=3).astype(np.uint8)


def manifest(name: str, *, output_kind: str = "labels") -> Manifest:
    """Return the manifest of the network in the format ``name``."""
    shape = (1, HEIGHT, WIDTH)
    outputs = {
        "labels": TensorSpec("labels", shape, "uint8", "NHW"),
        "logits": TensorSpec("logits", (*shape, CLASSES), "float32", "NHWC"),
    }
    classes = ClassSet(("road", "car", "sky", "tree", "person"), distinct_palette(CLASSES))
    image = TensorSpec("image", (*shape, 3), "uint8", "NHWC")
    return Manifest(name, image, outputs[output_kind], output_kind, Preprocess(HEIGHT, WIDTH), classes)


def frame(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Return a smooth RGB frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    rows = np.linspace(0, 4, height).round().astype(int)
    columns = np.linspace(0, 4, width).round().astype(int)
    return coarse[rows][:, columns]


def write_artifact(folder: Path, name: str) -> Path:
    """Write the network in the format ``name``, with its golden frame, into ``folder``."""
    (folder / "golden").mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations are not what is tested here
        _WRITERS[name](folder / MODEL_FILES[name])
    golden = frame(HEIGHT, WIDTH)
    write_picture(folder / GOLDEN_FRAME, golden)
    write_picture(folder / GOLDEN_LABELS, expected(golden[np.newaxis])[0])
    manifest(name).save(folder)
    return folder


def write_null_artifact(folder: Path, *, output_kind: str = "labels") -> Path:
    """Write an artifact that only the null engine opens."""
    (folder / "golden").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"nothing reads this")
    write_picture(folder / GOLDEN_FRAME, frame(HEIGHT, WIDTH))
    manifest("onnx", output_kind=output_kind).save(folder)
    return folder


def _network():  # torch is imported by the tests that need it only
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = torch.nn.Conv2d(3, CLASSES, 1)
            self.scores.weight.data = torch.from_numpy(WEIGHTS.reshape(CLASSES, 3, 1, 1))
            self.scores.bias.data = torch.from_numpy(BIAS)

        def forward(self, image):
            scores = self.scores(image.permute(0, 3, 1, 2).float() / 255)
            return scores.argmax(1).to(torch.uint8)

    return Network().eval(), torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8)


def _torchscript(path: Path) -> None:
    import torch

    network, example = _network()
    torch.jit.freeze(torch.jit.trace(network, example)).save(str(path))


def _openvino(path: Path) -> None:
    import openvino

    network, example = _network()
    model = openvino.convert_model(network, example_input=example, input=list(example.shape))
    openvino.save_model(model, path, compress_to_fp16=False)


def _onnx(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "weights": WEIGHTS.reshape(CLASSES, 3, 1, 1),
        "bias": BIAS,
        "top": np.float32(255),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "top"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights", "bias"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["labels"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, HEIGHT, WIDTH])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def _tflite(path: Path) -> None:
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


_WRITERS = {"torchscript": _torchscript, "openvino": _openvino, "onnx": _onnx, "tflite": _tflite}
