"""Does a graph that is about to be written compute what the network that was handed in computes?

Asked of torch, before any converter sees the graph. If it does not, both are run side by side, and the first module
that makes something else of the same input is named.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import ParityError
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.oracle import Oracle
from segfast_edge.export.common.parity import Reference, Thresholds
from segfast_edge.model.plain import Absorbed

KEPT = 1 << 16  # values kept of each tensor while searching, so that a large network's maps fit into memory


def prove(graph: Deployable, oracle: Oracle, expected: Reference, thresholds: Thresholds) -> None:
    """Compare a graph's logits with the oracle's on every frame.

    Raises:
        ParityError: they differ by more than the thresholds allow; the message names the first module to blame.
    """
    allowed = thresholds.logits * expected.scale
    for (name, frame), logits in zip(expected.frames, expected.logits, strict=True):
        batch = torch.from_numpy(np.array(graph.preprocess.image(frame))[np.newaxis])
        with torch.no_grad():
            found = graph.logits(batch)[0].permute(1, 2, 0).numpy()
        off = np.abs(found - logits).max(-1)  # NaN stays NaN, and is not within
        alike = float(np.mean(found.argmax(-1) == logits.argmax(-1)))
        if float(np.mean(off <= allowed)) < thresholds.within or alike < thresholds.labels:
            raise ParityError(
                "the graph made ready for export does not compute what the network computes:"
                f" {_blame(graph, oracle, frame)}. On frame '{name}' logits differ by {off.max():.3g}"
                f" (allowed {allowed:.3g}) and {alike:.3%} of labels agree (needed"
                f" {thresholds.labels:.1%}). No artifact was written"
            )


def _blame(graph: Deployable, oracle: Oracle, frame: Frame) -> str:
    """Return which module departs first and where it stands."""
    first, second = _Watched(oracle.network), _Watched(graph.network)
    with torch.no_grad():
        first.run(oracle.input(frame))
        second.run(oracle.input(frame))
    for place, name in enumerate(_departures(first, second), 1):
        if name is not None:
            kind = type(oracle.network.get_submodule(name)).__name__
            absorbed = graph.network.get_submodule(name)
            note = f", which layer '{absorbed.into}' took over" if isinstance(absorbed, Absorbed) else ""
            where = f"layer '{name}'" if name else "the network's own forward"
            position = f"number {place} of {len(first.calls)} in the order of execution"
            return f"{where} ({kind}{note}; {position}) is the first to differ"
    return "no single layer differs"


def _departures(first: "_Watched", second: "_Watched") -> Iterator[str | None]:
    """Give for each call, in the order in which they end, its module's name if it is to blame, else None.

    To blame is who makes something else of the same input. A module whose work another one took over is judged by
    the input of that one, which itself is not judged; nor is what stands between the two.
    """
    taken = {m.into: name for name, m in second.network.named_modules() if isinstance(m, Absorbed)}
    fed_alike: dict[str, bool] = {}
    for call in first.calls:
        other = second.seen.get((call.name, call.number))
        fed = other is not None and _alike(call.inputs, other.inputs)
        if call.name in taken:
            fed_alike[taken[call.name]] = fed
            yield None
        elif other is None:
            yield None
        else:
            fed = fed_alike.get(call.name, fed)
            yield call.name if fed and not _alike(call.outputs, other.outputs) else None


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a module, the tensors that went in and came out, thinned."""

    name: str
    number: int
    inputs: list[Tensor]
    outputs: list[Tensor]


@dataclass(slots=True)
class _Watched:
    """A network whose calls are recorded."""

    network: nn.Module
    calls: list[_Call] = field(default_factory=list)
    seen: dict[tuple[str, int], _Call] = field(default_factory=dict)

    def run(self, x: Tensor) -> None:
        """Run the network once and keep what every module took and gave."""
        started: list[tuple[nn.Module, list[Tensor]]] = []
        numbers: Counter[str] = Counter()
        names = {module: name for name, module in self.network.named_modules()}

        def before(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            started.append((module, _thinned((inputs, named))))

        def after(module: nn.Module, _: object, output: Any) -> None:
            _, taken = started.pop()
            name = names[module]
            call = _Call(name, numbers[name], taken, _thinned(output))
            numbers[name] += 1
            self.calls.append(call)
            self.seen[name, call.number] = call

        hooks = [module.register_forward_pre_hook(before, with_kwargs=True, prepend=True) for module in names]
        hooks += [module.register_forward_hook(after) for module in names]
        try:
            self.network(x)
        finally:
            for hook in hooks:
                hook.remove()


def _thinned(values: object) -> list[Tensor]:
    """Return copies of some values of every tensor: what follows may work in place."""
    flat = [value.detach().reshape(-1) for value in tree_leaves(values) if isinstance(value, Tensor)]
    return [value[:: (value.numel() // KEPT) | 1].clone() for value in flat]


def _alike(these: list[Tensor], those: list[Tensor]) -> bool:
    return len(these) == len(those) and all(
        a.shape == b.shape and bool(((a - b).abs().max() <= 1e-3 * a.abs().max().clamp_min(1e-6)).item())
        for a, b in zip(these, those, strict=True)
        if a.numel() and a.is_floating_point()
    )
