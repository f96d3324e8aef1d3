"""ncnn on the processor.

``f16`` is its 16-bit storage: weights and activations are kept in float16 by layers that can on this processor, and
computed with in float32. Its wheels have no times of single layers.
"""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(
    title="ncnn", modules=("ncnn",), packages=(("ncnn>=1.0.20250916",),), precisions=("f32", "f16"), layers=False
)
