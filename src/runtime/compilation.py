"""`--compile`: torch.compile, where the machine has what it takes.

Compiled code is made for the shapes that it meets. Those of a step are the same but for the short last batch of an
epoch and the number of bodies present, which is therefore brought to one of few (`data.loading.bucketing`).
"""

import logging

import torch
from torch import nn

_log = logging.getLogger(__name__)

_GRAPHS = "reduce-overhead"  # torch's name of the mode that captures CUDA graphs


def compile_where_possible(model: nn.Module, device: torch.device, graphs: bool = False) -> bool:
    """Let `model` compile itself when it is first called, if this machine can compile at all; tell whether.

    Its parameters and their names stay as they are. `graphs` has a GPU replay whole passes (CUDA graphs) instead of
    being sent one kernel after the other.
    """
    try:
        torch.compile(_probe)(torch.ones(2, device=device))
    except Exception as error:  # whatever a missing or broken compiler makes torch raise: the model works without
        _log.warning("--compile is left out: this machine cannot compile (%s).", str(error).strip().partition("\n")[0])
        return False
    torch._dynamo.config.suppress_errors = True  # what the compiler cannot do for some shape runs as it was written
    model.compile(dynamic=False, mode=_GRAPHS if graphs and device.type == "cuda" else None)
    _log.info("The model compiles itself in its first steps, which take long for that.")
    return True


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1
