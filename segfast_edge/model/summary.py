"""The cost of a network: parameters and multiply-accumulates, in all and per block."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segfast_edge.errors import SegfastError
from segfast_edge.model import build

REST = "(outside blocks)"


@dataclass(frozen=True, slots=True)
class BlockCost:
    """One block: its name, its output's shape without the batch (empty if it gives no single tensor), and costs."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The costs of one network for one image of ``size`` (height, width).

    One multiply-accumulate is one MAC. Counted are convolutions, transposed convolutions and matrix products, which
    is where the arithmetic is; pooling, interpolation, normalisation (folded away on a device) and activations are
    not. A transposed convolution counts what it must do, its input's pixels times its taps, not the zeros between.
    """

    model: str
    classes: int
    size: tuple[int, int]
    parameters: int
    macs: int
    rows: tuple[BlockCost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        blocks = [
            {"name": r.name, "shape": list(r.shape), "parameters": r.parameters, "macs": r.macs} for r in self.rows
        ]
        return {
            "model": self.model,
            "classes": self.classes,
            "parameters": self.parameters,
            "macs": self.macs,
            "blocks": blocks,
        }


def parameters(network: nn.Module) -> int:
    """Count a network's parameters, learned or fixed; a BN's running statistics are none."""
    return sum(p.numel() for p in network.parameters())


def on_meta(name: str, classes: int) -> nn.Module:
    """Build a network without memory for its weights, in evaluation mode: enough to count and to infer shapes."""
    if ":" in name:  # a user's factory may load weights, which it cannot on the meta device
        return build(name, classes).to("meta").eval()
    with torch.device("meta"):
        return build(name, classes).eval()


def summarise(name: str, classes: int, size: tuple[int, int]) -> Summary:
    """Count a network of ``model.build`` for one image of ``size`` (height, width), computing shapes only.

    Raises:
        SegfastError: no such network, or it does not give logits 1 x classes x height x width.
    """
    network = on_meta(name, classes)
    blocks = dict(_blocks(network))
    shapes: dict[str, tuple[int, ...]] = {}
    for label, block in blocks.items():
        block.register_forward_hook(_recorder(shapes, label))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        logits = network(torch.empty(1, 3, *size, device="meta"))
    _check(name, logits, (1, classes, *size))
    flops, root = counter.get_flop_counts(), type(network).__name__
    macs = {label: sum(flops.get(f"{root}.{label}", {}).values()) // 2 for label in blocks}
    rows = [BlockCost(label, shapes.get(label, ()), parameters(block), macs[label]) for label, block in blocks.items()]
    total, total_macs = parameters(network), counter.get_total_flops() // 2
    rest = BlockCost(REST, (), total - sum(r.parameters for r in rows), total_macs - sum(r.macs for r in rows))
    if rest.parameters or rest.macs:
        rows.append(rest)
    return Summary(name, classes, size, total, total_macs, tuple(rows))


def _blocks(network: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """The network's children, with a list of modules taken apart; those that cost nothing are left out."""
    found = []
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList):
            found += _blocks(child, f"{prefix}{name}.")
        elif parameters(child):
            found.append((prefix + name, child))
    return found


def _recorder(shapes: dict[str, tuple[int, ...]], label: str) -> Any:
    def record(_block: nn.Module, _inputs: Any, output: Any) -> None:
        shapes[label] = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()

    return record


def _check(name: str, logits: Any, expected: tuple[int, ...]) -> None:
    got = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if got != expected:
        raise SegfastError(f"model '{name}' gives {got}; expected logits of shape {expected}")
