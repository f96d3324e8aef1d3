"""Finds the layer in which a training first stopped being finite."""

from typing import Any

import torch
from torch import Tensor, nn


def first_bad_layer(module: nn.Module, images: Tensor) -> str:
    """Say which layer's weights or output are the first that hold NaN or infinity on this batch.

    Runs the network once more, which changes its running statistics; call it only when the training ends anyway.
    """
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if not bool(torch.isfinite(value).all()):
            return f"the weights {name} are not finite"
    found: list[str] = []

    def watch(layer: nn.Module, _: Any, output: Any) -> None:
        if not found and isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
            found.append(f"first in the output of layer {names[layer]} ({type(layer).__name__})")

    names = {layer: name for name, layer in module.named_modules() if not any(layer.children())}
    hooks = [layer.register_forward_hook(watch) for layer in names]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else "every layer's output is finite, the loss itself is not"
