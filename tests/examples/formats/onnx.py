"""The tiny network as ONNX, node by node with onnx's own helpers."""

from pathlib import Path

import numpy as np
from tiny_network import BIAS, CLASSES, HEIGHT, WEIGHTS, WIDTH


def write(path: Path) -> None:
    """Write the model file."""
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
