"""Refuse what no exported graph can hold: Python that branches on the values of a tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segfast_edge.errors import ConversionError


def run_static(network: nn.Module, example: torch.Tensor) -> Any:
    """Run ``network`` once and return its output.

    Raises:
        ConversionError: a layer turns a value that depends on the input into a Python number or bool; it is named.
    """
    stack: list[str] = []

    def leave(*_: object) -> None:
        stack.pop()

    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        with torch.no_grad(), _ValueReads(example, stack):
            return network(example)
    finally:
        for hook in hooks:
            hook.remove()


class _ValueReads(TorchDispatchMode):
    """Follows what depends on the input, and raises when such a value leaves for Python."""

    def __init__(self, source: torch.Tensor, stack: list[str]) -> None:
        TorchDispatchMode.__init__(self)
        self.stack = stack
        self.dependent = {id(source): source}  # the tensors are kept, so that no id is used twice

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        depends = any(id(value) in self.dependent for value in tree_leaves((args, kwargs)))
        if depends and func is torch.ops.aten._local_scalar_dense.default:
            where = f"layer '{self.stack[-1]}'" if self.stack and self.stack[-1] else "the network's own forward"
            raise ConversionError(
                f"{where} reads a value that depends on the input (an 'if', float() or item() on a tensor);"
                " an exported graph cannot branch on it. Use torch.where, or take the branch out"
            )
        result = func(*args, **(kwargs or {}))
        if depends:
            self.dependent |= {id(value): value for value in tree_leaves(result) if isinstance(value, torch.Tensor)}
        return result
