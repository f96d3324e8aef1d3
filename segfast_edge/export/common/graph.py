"""The graph that is deployed: uint8 picture in, labels or logits out, normalisation and argmax inside."""

import torch
from torch import nn

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.manifest import OutputKind
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import ConversionError, unknown
from segfast_edge.export.common.bilinear_doubling import Doubled, largest
from segfast_edge.export.common.control_flow import run_static
from segfast_edge.export.common.converter_errors import running
from segfast_edge.export.common.ends import PLAIN, Ends
from segfast_edge.export.common.fold import fold_batchnorm
from segfast_edge.export.common.lowerings import LOWERINGS, lower
from segfast_edge.export.common.reading import ANY_OUTPUT, OutputChoice, Reading, reading_of
from segfast_edge.model.blocks import HalfSize
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.normalise import Normalise
from segfast_edge.model.plain import computes_as_its_class, plain_copy
from segfast_edge.model.unpooling import IndexPool, without_indices


class Deployable(nn.Module):
    """Normalisation, the network in eval mode with batch normalisation folded, and the output a device wants.

    ``forward`` takes uint8 1 x H x W x 3 (RGB) and gives uint8 labels 1 x H x W, or float32 logits
    1 x H x W x classes if ``output_kind`` is ``logits``, unless ``ends`` says otherwise. ``network`` keeps its
    transposed convolutions as they are; ``lowering`` names the form in which an exporter should write them
    (``lowered()``, or its own way).
    ``doubled``, which only ``lowered()`` sets, ends the graph in place of the network's own resizing. ``reading`` takes
    the logits out of what the network gives.
    """

    def __init__(
        self, network: nn.Module, preprocess: Preprocess, classes: ClassSet, output_kind: OutputKind = "labels"
    ) -> None:
        super().__init__()
        self.lowering = "native"
        self.preprocess = preprocess
        self.classes = classes
        self.output_kind: OutputKind = output_kind
        self.normalise = Normalise(preprocess)
        self.network = network
        self.doubled: Doubled | None = None
        self.reading = Reading()
        self.ends = PLAIN
        self.eval().requires_grad_(False)

    def example(self) -> torch.Tensor:
        """Return an input of the right size: uint8 1 x H x W x 3, every pixel random, the same each time."""
        noise = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (1, *self.preprocess.size, 3), generator=noise, dtype=torch.uint8)

    def example_input(self) -> torch.Tensor:
        """Return the same picture as ``forward`` takes it."""
        frames = self.example()
        moved = frames.permute(0, 3, 1, 2) if self.ends.input_layout == "NCHW" else frames
        return moved.to(getattr(torch, self.ends.input_type)).contiguous()

    def with_output(
        self, output_kind: OutputKind, lowering: str | None = None, ends: Ends | None = None
    ) -> "Deployable":
        """Return the same graph with another output, sharing its weights; ``lowering`` is the form to write it in."""
        graph = self._like(self.network, output_kind)
        graph.lowering, graph.ends = lowering or self.lowering, ends or self.ends
        return graph

    def forms(self) -> "list[Deployable]":
        """Return the graph as it is, and as it will be written if that is something else."""
        return [self] if self.lowering == "native" else [self, self.lowered()]

    def lowered(self, *, unpooling: bool = True, resizing: bool = True) -> "Deployable":
        """Return the same graph with every transposed convolution rewritten as ``lowering`` says.

        Without ``unpooling`` the operators for pooling with indices are replaced by ordinary ones as well; without
        ``resizing`` the bilinear resizing that ends a ``HalfSize`` network is replaced by ``Doubled``.
        """
        network = lower(self.network, self.lowering)
        graph = self._like(network if unpooling else without_indices(network), self.output_kind)
        # a forward of its own, or a hook, may compute anything after ``coarse``
        ours = isinstance(network, HalfSize) and type(network).forward is HalfSize.forward
        if ours and computes_as_its_class(network) and self.reading.is_plain and not resizing:
            labels = self.output_kind == "labels"
            graph.doubled = Doubled(len(self.classes), self.preprocess.size, labels=labels)
        return graph

    @property
    def discontinuous(self) -> bool:
        """Whether rounding can move a value to another pixel, as pooling with indices does."""
        return any(isinstance(module, IndexPool | nn.MaxUnpool2d) for module in self.network.modules())

    def _like(self, network: nn.Module, output_kind: OutputKind) -> "Deployable":
        graph = Deployable(network, self.preprocess, self.classes, output_kind)
        graph.lowering, graph.reading, graph.ends = self.lowering, self.reading, self.ends
        return graph

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Compute labels or logits of frames as ``ends`` has them."""
        # the cast comes first because TensorRT takes uint8 into a cast and nothing else
        pixels = frames.to(torch.float32)
        planes = pixels if self.ends.input_layout == "NCHW" else pixels.permute(0, 3, 1, 2)
        if self.doubled is not None and isinstance(self.network, HalfSize):
            found: torch.Tensor = self.doubled(self.network.coarse(self.normalise(planes)))
            return found if self.output_kind == "labels" else self._laid_out(found)
        logits = self.reading(self.network(self.normalise(planes)))
        return largest(logits).to(torch.uint8) if self.output_kind == "labels" else self._laid_out(logits)

    def logits(self, frames: torch.Tensor) -> torch.Tensor:
        """Compute float32 logits 1 x classes x H x W of uint8 frames, 1 x H x W x 3, whatever ``ends`` says."""
        return self.reading(self.network(self.normalise(frames.to(torch.float32).permute(0, 3, 1, 2))))

    def _laid_out(self, logits: torch.Tensor) -> torch.Tensor:
        return logits if self.ends.output_layout == "NCHW" else logits.permute(0, 2, 3, 1)


def deployable(
    checkpoint: Checkpoint,
    output_kind: OutputKind = "labels",
    *,
    lowering: str = "native",
    network: nn.Module | None = None,
    choice: OutputChoice = ANY_OUTPUT,
) -> Deployable:
    """Build the graph to deploy from a checkpoint, or from ``network``, which stays as it is: a copy is changed.

    ``choice`` says which part of the network's output holds the logits, and how to enlarge them.

    Raises:
        ConversionError: no such lowering, a weight is NaN or infinite, the network fails or decides by its input's
            values, or its output has no logits of so many classes.
    """
    if lowering not in LOWERINGS:
        raise ConversionError(unknown("lowering", lowering, LOWERINGS))
    untouched = checkpoint.module() if network is None else network
    _check_weights(untouched)
    graph = Deployable(plain_copy(untouched), checkpoint.preprocess, checkpoint.classes, output_kind)
    normalised = graph.normalise(graph.example().permute(0, 3, 1, 2))
    graph.network = fold_batchnorm(graph.network, normalised)
    graph.lowering = lowering
    tried = plain_copy(graph.network)
    with running(tried, graph.preprocess.size):
        output = run_static(tried, normalised)
    graph.reading = reading_of(output, len(graph.classes), graph.preprocess.size, choice)
    return graph.requires_grad_(False)


def _check_weights(network: nn.Module) -> None:
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        if not value.is_floating_point():
            continue
        layer, _, tensor = name.rpartition(".")
        is_mask = not isinstance(value, nn.Parameter) and not tensor.startswith("running_")  # may hold infinity
        right = ~torch.isnan(value) if is_mask else torch.isfinite(value)
        if not bool(right.all()):
            raise ConversionError(
                f"layer '{layer}' has NaN or infinity in its {tensor}; train again from an earlier checkpoint"
            )
