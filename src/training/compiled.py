"""`--compile`: torch.compile, where the machine has what it takes."""

import logging

import torch
from torch import nn

_log = logging.getLogger(__name__)


def compile_where_possible(model: nn.Module, device: torch.device) -> bool:
    """Let `model` compile itself when it is first called, if this machine can compile at all; tell whether.

    Its parameters and their names stay as they are.
    """
    try:
        torch.compile(_probe)(torch.ones(2, device=device))
    except Exception as error:  # whatever a missing or broken compiler makes torch raise: the model works without
        _log.warning("--compile is left out: this machine cannot compile (%s).", str(error).strip().partition("\n")[0])
        return False
    model.compile()
    _log.info("The model compiles itself in its first steps, which take long for that.")
    return True


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1
