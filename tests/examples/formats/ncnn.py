"""The tiny network as ncnn's text and weights, written by hand: a convolution whose weights are those of bytes."""

from tiny_network import BIAS, CLASSES, WEIGHTS


def write(path):
    layers = [
        "Input            image   0 1 image",
        f"Convolution      scores  1 1 image labels 0={CLASSES} 1=1 5=1 6={WEIGHTS.size}",
    ]
    path.write_text("\n".join(["7767517", "2 2", *layers]) + "\n")
    in_float = b"\0\0\0\0"  # the mark of weights in float32
    path.with_suffix(".bin").write_bytes(in_float + (WEIGHTS / 255).astype("<f4").tobytes() + BIAS.tobytes())
