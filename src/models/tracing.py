"""Detection of compilers, exports and module hooks."""

import torch
from torch import nn

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def is_traced() -> bool:
    """Tell whether the current computation is traced for a compiler or an exported file."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def has_hooks(module: nn.Module) -> bool:
    """Tell whether a module has hooks; they run only if the module is called, not if a function uses its weights."""
    return not is_traced() and any(getattr(module, kind) for kind in _HOOKS)
