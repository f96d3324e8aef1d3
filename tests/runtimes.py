"""An artifact opened by its runtime alone: nothing of ours stands between the file and the array."""

import numpy as np


def computed(folder, name, frame):
    """Return what the artifact in ``folder`` gives for a uint8 frame of its size, H x W x 3."""
    files = {path.suffix: path for path in folder.glob("model.*")}
    return np.asarray(_RUN[name](files, frame[np.newaxis])).squeeze(0)


def _onnx(files, batch):
    import onnxruntime

    session = onnxruntime.InferenceSession(files[".onnx"])
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def _openvino(files, batch):
    import openvino

    model = openvino.Core().compile_model(files[".xml"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return model([batch])[0]


def _tflite(files, batch):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files[".tflite"]))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _torchscript(files, batch):
    import torch

    with torch.no_grad():
        return torch.jit.load(files[".ts"])(torch.from_numpy(batch)).numpy()


_RUN = {"onnx": _onnx, "openvino": _openvino, "tflite": _tflite, "torchscript": _torchscript}
FORMATS = sorted(_RUN)
