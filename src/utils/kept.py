"""Keeping small fixed tensors, so that each is made and sent to its device once."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVarTuple

import torch
from torch import Tensor

Arguments = TypeVarTuple("Arguments")


class _NotKept(Exception):
    """Carry a tensor past the cache."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def kept(most: int) -> Callable[[Callable[[*Arguments], Tensor]], Callable[[*Arguments], Tensor]]:
    """Keep the last `most` tensors that a function of hashable arguments makes; they are shared and never changed.

    What is kept can be used everywhere, whatever mode it was first asked for in: it is made outside of
    `torch.inference_mode`, whose tensors no later training could use, and what a mode makes that is no plain tensor
    (a fake or a traced one) is handed out but not kept.
    """

    def decorate(make: Callable[[*Arguments], Tensor]) -> Callable[[*Arguments], Tensor]:
        def plain(*arguments: *Arguments) -> Tensor:
            with torch.inference_mode(False):
                tensor = make(*arguments)
            if type(tensor) is not Tensor:
                raise _NotKept(tensor)
            return tensor

        cached = lru_cache(maxsize=most)(plain)

        @wraps(make)
        def keeping(*arguments: *Arguments) -> Tensor:
            try:
                return cached(*arguments)
            except _NotKept as made:
                return made.tensor

        return keeping

    return decorate
