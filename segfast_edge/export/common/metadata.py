"""Metadata inside a model file, which describes the file even without its manifest."""

import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from segfast_edge.contract.manifest import Manifest

KEY = "segfast_edge"
INPUT = "frames"


def named(manifest: Manifest) -> Manifest:
    """Return the manifest with the names that exporters of ours give the tensors."""
    output = replace(manifest.output, name=manifest.output_kind)
    return replace(manifest, input=replace(manifest.input, name=INPUT), output=output)


def embedded(manifest: Manifest) -> dict[str, Any]:
    """Return the part of the manifest that is known before the file is written: no checksums, no parity."""
    value = manifest.to_json()
    for later in ("files", "parity"):
        value.pop(later)
    return value


def embedded_text(manifest: Manifest) -> str:
    """Return ``embedded`` as JSON in one line."""
    return json.dumps(embedded(manifest), ensure_ascii=False, sort_keys=True)


def model_info(manifest: Manifest) -> dict[str, str]:
    """Return what openvino-model-api reads, as it spells it: names of labels end at a space there.

    It finds a model by ``model_type``. Release 0.4.7 reads logits with channels first and nothing else: it takes the
    largest of labels' rows, and calls the height of NHWC the number of classes. Such files are therefore none to it.
    """
    readable = manifest.output.layout == "NCHW"
    filters = {"bilinear": "LINEAR", "nearest": "NEAREST"}
    interpolation = filters.get(manifest.preprocess.filter)
    return {
        **({"model_type": "Segmentation", "return_soft_prediction": "YES"} if readable else {}),
        "labels": " ".join(name.replace(" ", "_") for name in manifest.classes.names),
        "resize_type": "standard",
        **({} if interpolation is None else {"interpolation_mode": interpolation}),
        "embedded_processing": "NO",  # resizing is the caller's; mean and scale are in the graph and named nowhere else
        "reverse_input_channels": "NO",  # the graph takes RGB
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of ``packages``, by distribution name."""
    return {name: importlib.metadata.version(name) for name in packages}
