"""`--compile`: torch.compile, if the machine supports it.

Code is compiled for each shape. The shapes of steps are the same except for the short last batch of an epoch and the
number of present bodies, which is therefore padded to one of few (`data.loading.bucketing`).
"""

import logging

import torch
from torch import nn

_log = logging.getLogger(__name__)

_SLOWER = (
    "--compile makes training on a CPU slower: LAST's own CPU kernels take about half the time of compiled code, which "
    "cannot use them. Leave --compile out; --amp helps on processors with bf16, and the extra `fast` on all."
)
# Training has five numbers of bodies, from one to two of each clip, testing has as many, and both have shorter last
# batches; behind torch's own limit, 8, it would run the others uncompiled.
_MOST_SHAPES = 32
_GRAPHS = "reduce-overhead"  # torch's name of the mode that captures CUDA graphs


def compile_where_possible(model: nn.Module, device: torch.device, graphs: bool = False) -> bool:
    """Compile `model` at its first call, if this machine can compile; return whether it can.

    Its parameters and their names do not change. With `graphs`, a GPU replays whole passes (CUDA graphs) instead of
    launching single kernels.
    """
    try:
        torch.compile(_probe)(torch.ones(2, device=device))
    except Exception as error:  # any error of a missing or broken compiler; the model works without it
        _log.warning("--compile is left out: this machine cannot compile (%s).", str(error).strip().partition("\n")[0])
        return False
    if device.type == "cpu":
        _log.warning(_SLOWER)
    torch._dynamo.config.suppress_errors = True  # shapes that cannot be compiled run uncompiled
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_SHAPES)
    model.compile(dynamic=False, mode=_GRAPHS if graphs and device.type == "cuda" else None)
    _log.info("The model compiles itself in its first steps, which take long for that.")
    return True


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1
