"""TensorRT on an NVIDIA GPU. It comes with JetPack and not from the package index."""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(title="TensorRT", modules=("tensorrt",), precisions=("f32", "f16"), gpu="only")
