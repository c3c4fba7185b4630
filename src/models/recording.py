"""Who follows what is computed now: a compiler, an export, or the hooks of a module."""

import torch
from torch import nn

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def recorded() -> bool:
    """Tell whether what is computed now is recorded for a compiler or an exported file."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def watched(module: nn.Module) -> bool:
    """Tell whether a module has hooks, which see a module that is called, not one whose weights a function takes."""
    return not recorded() and any(getattr(module, kind) for kind in _HOOKS)
