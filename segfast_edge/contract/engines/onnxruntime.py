"""ONNX Runtime, on the processor or with CUDA. Version 1.21.0 dies of an illegal instruction on a Cortex-A72."""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(
    title="ONNX Runtime",
    modules=("onnxruntime",),
    packages=(("onnxruntime>=1.20,!=1.21.0",),),
    gpu="possible",
)
