"""ncnn through pnnx: float32 planes in, float32 logits out, normalisation inside.

ncnn has no 8-bit tensors but inside its int8 layers, so the graph begins behind the picture's bytes and ends before the
choice of a class; the engine does both (``targets/engines/ncnn.py``). Release 20261020 has no layer for what SegNet's
unpooling becomes (Tensor.slice, torch.eq, torch.where), nor for the reshape to six axes of phases and zero_insertion.
"""

import importlib
import importlib.util
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from segfast_edge.contract.formats import format_named
from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.converter_errors import explained, writing
from segfast_edge.export.common.converter_packages import another
from segfast_edge.export.common.graph import Deployable

LOWERINGS = {
    "float32": "native"
}  # not measured against the others; pnnx writes no reshape to six axes, as phases needs
_INPUT, _OUTPUT = "in0", "out0"  # as pnnx names them
_WORDS = ("fp16=0", "optlevel=2")  # weights in float32


class _Planes(nn.Module):
    """The network from planes of 0 to 255 to logits, both N x channels x H x W."""

    def __init__(self, graph: Deployable) -> None:
        super().__init__()
        self.normalise = graph.normalise
        self.network = graph.network

    def forward(self, planes: Tensor) -> Tensor:
        """Compute logits."""
        logits: Tensor = self.network(self.normalise(planes))
        return logits


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.param`` and ``model.bin``, without metadata of ours; return the manifest with the blobs' names.

    Raises:
        ConversionError: torch cannot trace the network, or pnnx or ncnn has no form of one of its operators.
    """
    graph.ends.refuse_unless_plain(f"format {manifest.format}, whose engine makes planes of the picture's bytes,")
    lowered = graph.lowered(unpooling=False)
    planes = graph.example().permute(0, 3, 1, 2).to(torch.float32)
    with explained("torch cannot trace this network", another(manifest.format)), torch.no_grad():
        traced = torch.jit.trace(_Planes(lowered).eval(), planes, check_trace=False)
    with TemporaryDirectory(prefix="segfast-pnnx-") as name:
        torch.jit.save(traced, Path(name) / "model.pt")
        _convert(Path(name), tuple(planes.shape), manifest.format)
        _refuse_unknown(Path(name) / "model.ncnn.param", manifest.format, graph.lowering)
        with writing(folder):
            for file in (manifest.model_file, *format_named(manifest.format).more_files):
                shutil.copyfile(Path(name) / f"model.ncnn{Path(file).suffix}", folder / file)
    return replace(
        manifest,
        input=replace(manifest.input, name=_INPUT),
        output=replace(manifest.output, name=_OUTPUT),
    )


def _convert(folder: Path, shape: tuple[int, ...], name: str) -> None:
    """Run pnnx's program on ``model.pt`` in ``folder``; its package has no function that says what went wrong."""
    package = importlib.util.find_spec("pnnx")
    assert package is not None, "exporter() has looked"
    words = ["model.pt", f"inputshape=[{','.join(map(str, shape))}]f32", *_WORDS]
    program = str(Path(str(package.origin)).parent / "pnnx")
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (folder / "model.ncnn.bin").is_file():
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reason = said[-1] if said else "it said nothing"
        raise ConversionError(f"pnnx ended with status {done.returncode}: {reason}. {another(name)}")


def _refuse_unknown(param: Path, name: str, lowering: str) -> None:
    """Raise ConversionError for what pnnx left as an operator of torch's: ncnn would end the process over it."""
    ncnn = importlib.import_module("ncnn")
    kinds = dict.fromkeys(
        line.split()[0] for line in param.read_text(encoding="utf-8").splitlines()[2:] if line.strip()
    )
    unknown = [kind for kind in kinds if ncnn.layer_to_index(kind) < 0]
    if unknown:
        native = "" if lowering == "native" else ", or --lowering native"
        raise ConversionError(f"ncnn has no layer for {', '.join(unknown)}. {another(name)}{native}")
