"""LiteRT, or the older tflite-runtime if LiteRT does not serve the board.

LiteRT's wheels need glibc 2.34, whatever their tag says. tflite-runtime 2.14 refuses numpy 2, and int8 is several times
slower in it, because it never uses the dot product instructions.
"""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(
    title="LiteRT",
    modules=("ai_edge_litert.interpreter", "tflite_runtime.interpreter"),
    packages=(("ai-edge-litert>=1.2",), ("tflite-runtime==2.14.0", "numpy<2")),
)
