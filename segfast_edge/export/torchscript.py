"""TorchScript: traced and frozen. Optimising is left to the device, since a module saved after it does not load."""

import copy
import io
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.converter_errors import explained, writing
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import KEY, embedded_text
from segfast_edge.model.plain import is_plain, substitute

# SegFast's shipped weights at 224 x 224, processor time of a run: native 26 ms, subpixel 37 ms, phases 61 ms
LOWERINGS = {"float32": "native"}


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.ts`` with the metadata as the extra file ``segfast_edge``; return the manifest.

    Raises:
        ConversionError: torch cannot trace the network.
    """
    lowered = graph.lowered()
    biases_apart(lowered.network)
    with explained("torch cannot trace this network", "Take what the message names out of its forward"):
        with torch.no_grad():
            traced = torch.jit.trace(lowered, graph.example_input(), check_trace=False)
        frozen = torch.jit.freeze(traced.eval())
    manifest = replace(
        manifest,
        input=replace(manifest.input, name=[*frozen.graph.inputs()][1].debugName()),
        output=replace(manifest.output, name=manifest.output_kind),
    )
    whole = io.BytesIO()  # torch's own file writer aborts the process when the disk is full
    with writing(folder):
        torch.jit.save(frozen, whole, _extra_files={KEY: embedded_text(manifest)})
        (folder / manifest.model_file).write_bytes(whole.getvalue())
    return manifest


class BiasApart(nn.Module):
    """A depthwise transposed convolution that adds its bias in a step of its own."""

    def __init__(self, layer: nn.ConvTranspose2d, bias: Tensor) -> None:
        super().__init__()
        self.conv = copy.deepcopy(layer)
        self.conv.bias = None
        self.register_buffer("bias", bias.detach().reshape(1, -1, 1, 1).clone())

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Take and give what the transposed convolution does."""
        result: Tensor = self.conv(x, output_size) + self.bias
        return result


def biases_apart(network: nn.Module) -> None:
    """Make every depthwise transposed convolution a ``BiasApart``, which computes the same, in place.

    With a bias, which folding gives them, torch 2.13 takes a slow path on a CPU: 128 channels, 56x56 to 112x112 and
    channels last take 6.3 ms, without it 0.2 ms and with the sum behind it 0.3 ms (one thread of an AVX-512 server).
    """
    substitute(network, _bias_apart)


def _bias_apart(layer: nn.Module) -> BiasApart | None:
    if not isinstance(layer, nn.ConvTranspose2d) or not is_plain(layer, nn.ConvTranspose2d) or layer.bias is None:
        return None
    depthwise = layer.groups == layer.in_channels == layer.out_channels
    return BiasApart(layer, layer.bias) if depthwise else None
