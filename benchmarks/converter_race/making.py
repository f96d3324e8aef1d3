"""Making the files of a race: each once, kept in the work folder, whole or not at all."""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.converter_race import defaults
from benchmarks.converter_race.cases import DEFAULT, OURS, Case, Conversion, conversions, weights
from segfast_edge.contract.manifest import FILE_NAME
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.files import replacing_file, replacing_folder
from segfast_edge.contract.shared.images import Frame, write_picture
from segfast_edge.data.calibration import Calibration
from segfast_edge.data.scene import render
from segfast_edge.errors import ArtifactError, ConversionError, SegfastError
from segfast_edge.export import exporter
from segfast_edge.export.common.conversion import begin
from segfast_edge.export.common.exporter import Int8Recipe, quantizer
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.quantization import Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.normalise import Normalise
from segfast_edge.progress import Announce

SETTLING = 8  # frames from which batch normalisation takes its statistics where weights are random
LITERT = defaults.ROOT / ".venv-litert-torch" / "bin" / "python"
INSTALL = (
    "python3.11 -m venv .venv-litert-torch && .venv-litert-torch/bin/pip install -c tools/constraints.txt -e"
    " '.[train,litert-torch]'"
)


def litert_python() -> Path | None:
    """Return an interpreter that has litert-torch: this one, or the checkout's own for it, or None."""
    if importlib.util.find_spec("litert_torch") is not None:
        return Path(sys.executable)
    return LITERT if LITERT.exists() else None


def draw_frames(work: Path, count: int) -> Path:
    """Draw the calibration frames of both sides into a folder of pictures."""
    folder = work / f"calibration-{count}"
    if not folder.is_dir():
        with replacing_folder(folder) as new:
            for seed in range(count):
                write_picture(new / f"{seed:03}.png", render((0xCA1, seed), (360, 480))[0])
    return folder


def make(case: Case, pictures: Path, litert: Path | None, announce: Announce) -> list[str]:
    """Make what a case lacks; return a line for each file that cannot be made.

    A failure is noted beside the folder that it left out (``.failed``); remove the note to try again.
    """
    _write_checkpoint(case, pictures)
    source = PreparedNetwork(case.checkpoint)
    _write_golden(case, source)
    lines = []
    for conversion in conversions(case):
        folder = conversion.folder(case)
        note = folder.with_name(f"{folder.name}.failed")
        if (folder / FILE_NAME).is_file():
            continue
        if not note.is_file():
            announce(f"{case.name}: {conversion.format} {conversion.precision}, {conversion.side}")
            try:
                _convert(source, case, conversion, pictures, litert)
                continue
            except SegfastError as error:
                if conversion.side != OURS and conversion.format == "tflite" and litert is None:
                    lines.append(f"{folder.name}: {error}")
                    continue  # not noted: installing it is enough to try again
                with replacing_file(note) as temporary:
                    temporary.write_text(f"{error}\n", encoding="utf-8")
        lines.append(f"{case.name} {folder.name}: {note.read_text(encoding='utf-8').strip()}")
    return lines


def frames_of(case: Case, pictures: Path) -> list[Frame]:
    """Return the calibration frames at a case's size."""
    return [np.array(each) for each in Calibration.open(pictures, None).frames(Preprocess(*case.size))]


def _write_checkpoint(case: Case, pictures: Path) -> None:
    """Write the shipped weights at the case's size, or random ones whose statistics are settled on drawn scenes."""
    if case.checkpoint.is_file():
        return
    case.folder.mkdir(parents=True, exist_ok=True)
    shipped = Checkpoint.load(weights(case.network))
    preprocess = replace(shipped.preprocess, height=case.size[0], width=case.size[1])
    if shipped.network == case.network:
        replace(shipped, preprocess=preprocess).save(case.checkpoint)
        return
    torch.manual_seed(0)
    network = build(case.network, len(shipped.classes))
    _settle(network, preprocess, frames_of(case, pictures)[:SETTLING])
    state = network.state_dict()
    Checkpoint(case.network, shipped.classes, preprocess, "", state, {"weights": "random"}).save(case.checkpoint)


def _settle(network: nn.Module, preprocess: Preprocess, frames: Sequence[Frame]) -> None:
    """Run frames through in training mode: fresh statistics would let activations vanish or explode."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean of what is seen
            layer.reset_running_stats()
    pixels = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
    with torch.no_grad():
        network.train()(Normalise(preprocess)(pixels.float()))
    network.eval()


def _write_golden(case: Case, source: PreparedNetwork) -> None:
    """Keep the frame that every process runs, as the network gets it, and torch's labels of it."""
    frame, labels = source.expected.golden
    for name, value in (("frame", source.checkpoint.preprocess.image(frame)), ("labels", labels)):
        if not (case.folder / f"{name}.npy").is_file():
            np.save(case.folder / f"{name}.npy", value)


def _convert(source: PreparedNetwork, case: Case, conversion: Conversion, pictures: Path, litert: Path | None) -> None:
    """Write one file; ours neither compared nor gated, since the race itself says how many labels agree."""
    frames = [] if conversion.precision == "float32" else frames_of(case, pictures)
    quantization = Quantization(Calibration.open(pictures, None)) if frames and conversion.side == OURS else None
    lowering = None if conversion.side == OURS else "native"
    request = ExportRequest(conversion.format, conversion.folder(case), lowering=lowering, quantization=quantization)
    with replacing_folder(request.folder) as folder:
        begun = begin(source, request, exporter(conversion.format), folder, lambda _: None)
        if conversion.side != OURS:
            draft = replace(begun.draft, precision=conversion.precision)
            _by_default(case, conversion, frames, folder / draft.model_file, litert)
            draft.save(folder)
        elif frames:
            writer = quantizer(begun.writer, conversion.format)
            writer.quantize(begun.graph, begun.draft, folder, Int8Recipe(frames)).save(folder)
        else:
            begun.export()


def _by_default(case: Case, conversion: Conversion, frames: Sequence[Frame], path: Path, litert: Path | None) -> None:
    if conversion.format == "torchscript":
        defaults.torchscript(case.checkpoint, path)
    elif conversion.format == "openvino":
        defaults.openvino(case.checkpoint, path, frames)
    elif conversion.format == "onnx":
        defaults.onnx(case.checkpoint, path, frames)
    elif frames:
        whole = replace(conversion, precision="float32").folder(case) / path.name
        defaults.tflite_int8(whole, path, frames)
    elif litert is None:
        raise ConversionError(f"litert-torch is missing. Run: {INSTALL}")
    else:
        defaults.tflite(case.checkpoint, path, litert, lowering="native" if conversion.side == DEFAULT else "subpixel")
    if not path.is_file():
        raise ArtifactError(f"{path.name} was not written")
