"""OpenVINO on a CPU."""

from segfast_edge.contract.engines import ARM64, Computer, Engine


def _refusal(computer: Computer, precision: str) -> str | None:
    if computer.prefers_gpu:
        return "OpenVINO does not use a Jetson's GPU"
    # OpenVINO 2026.4 int8: no kernel compiles on a Cortex-A72; on an A76 it runs 132 times the instructions of float32
    if computer.machine == ARM64 and precision == "int8":
        return "OpenVINO has no working int8 on ARM"
    return None


ENGINE = Engine(
    title="OpenVINO",
    modules=("openvino",),
    packages=(("openvino>=2025.0",),),
    precisions=("f32", "bf16", "f16"),
    refusal=_refusal,
)
