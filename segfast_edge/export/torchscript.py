"""TorchScript: traced and frozen. Optimising is left to the device, since a module saved after it does not load."""

import io
from dataclasses import replace
from pathlib import Path

import torch

from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.failure import explained, writing
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import KEY, embedded_text

EXTRA = "train"
TOOLS = ("torch",)


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.ts`` with the metadata as the extra file ``segfast_edge``; return the manifest.

    Raises:
        ConversionError: torch cannot trace the network.
    """
    lowered = graph.lowered()
    with explained("torch cannot trace this network", "Take what the message names out of its forward"):
        with torch.no_grad():
            traced = torch.jit.trace(lowered, graph.example(), check_trace=False)
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
