"""Modules that compute exactly what their class does, and a copy of a network with as many of them as possible.

Whoever replaces or merges modules asks ``is_plain`` first: a subclass, a hook, a parametrization or a method overridden
on the instance may compute anything, and such a module is left as it is.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils._pytree import tree_leaves

from segfast_edge.errors import ConversionError


def is_plain(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Return whether a module is exactly of one of ``kinds`` and computes nothing but what that class does."""
    return type(module) in kinds and computes_as_its_class(module)


def computes_as_its_class(module: nn.Module) -> bool:
    """Return whether a module has no hook, no parametrization, and no method overridden on the instance.

    A hook on its state dict changes nothing that it computes.
    """
    own = vars(module)
    hooked = any("hooks" in name and "state_dict" not in name and value for name, value in own.items())
    overridden = any(callable(getattr(type(module), name, None)) for name in own)
    return not (hooked or overridden or parametrize.is_parametrized(module))


def plain_copy(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose weights are plain parameters.

    weight_norm, spectral_norm, pruning and ``torch.nn.utils.parametrize`` compute a weight in every call; the copy has
    the weight that they give.

    Raises:
        ConversionError: the network cannot be copied, or a weight cannot be made plain; the layer is named.
    """
    copied = _copy(network)
    copied.eval()
    for name, module in list(copied.named_modules()):
        try:
            with torch.no_grad():
                _remove_hooks_that_set_a_weight(module)
                _remove_parametrizations(module)
        except (RuntimeError, ValueError, AttributeError, KeyError, TypeError, NotImplementedError) as error:
            raise ConversionError(
                f"layer '{name}' ({type(module).__name__}): the weight that is computed in every call cannot be made"
                f" an ordinary one: {str(error).partition(chr(10))[0]}. Remove its parametrization before converting"
            ) from error
    return copied


def _copy(network: nn.Module) -> nn.Module:
    """Copy a network; tensors that autograd computed, which deepcopy refuses, are copied without their history."""
    memo: dict[int, object] = {}
    for module in network.modules():
        for value in tree_leaves(dict(vars(module))):
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(network, memo)
    except Exception as error:  # a __deepcopy__ or a member of the user's own may raise anything
        raise ConversionError(
            f"the network cannot be copied (copy.deepcopy): {type(error).__name__}: {error}"
        ) from error


def _remove_hooks_that_set_a_weight(module: nn.Module) -> None:
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            name = str(hook._tensor_name)
            _untie(module._parameters, f"{name}_orig")
            prune.remove(module, name)


def _remove_parametrizations(module: nn.Module) -> None:
    """Do what torch's own function does, which would break the original: a copy shares its class, which it changes."""
    if not parametrize.is_parametrized(module):
        return
    values = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
    del module._modules["parametrizations"]
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        setattr(module, name, nn.Parameter(value, requires_grad=False))


def _untie(parameters: "dict[str, nn.Parameter | None]", name: str) -> None:
    """Give a parameter that torch will overwrite a copy of its own: another layer may share it."""
    shared = parameters.get(name)
    if shared is not None:
        parameters[name] = nn.Parameter(shared.detach().clone(), requires_grad=False)


class Absorbed(nn.Identity):
    """Stands in place of a module whose work the module named ``into`` does."""

    def __init__(self, into: str) -> None:
        super().__init__()
        self.into = into


def substitute(root: nn.Module, choose: Callable[[nn.Module], nn.Module | None]) -> None:
    """Put what ``choose`` returns for a module, unless that is None, in its place wherever below ``root`` it stands."""
    for parent in list(root.modules()):
        for name, child in list(parent._modules.items()):  # named_children leaves out what comes again
            chosen = None if child is None else choose(child)
            if chosen is not None:
                setattr(parent, name, chosen)
