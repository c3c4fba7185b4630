"""Caching of small constant tensors, so that each is computed and copied to its device once."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVarTuple

import torch
from torch import Tensor

Arguments = TypeVarTuple("Arguments")


class _Uncacheable(Exception):
    """Passes a tensor that must not be cached through `lru_cache`."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def cache_tensors(most: int) -> Callable[[Callable[[*Arguments], Tensor]], Callable[[*Arguments], Tensor]]:
    """Cache the last `most` tensors of a function with hashable arguments; callers must not change them.

    A cached tensor works in every mode: it is computed outside `torch.inference_mode`, whose tensors cannot be used
    in training, and a result that is not a plain tensor (a fake or a traced one) is returned but not cached.
    """

    def decorate(make: Callable[[*Arguments], Tensor]) -> Callable[[*Arguments], Tensor]:
        def plain(*arguments: *Arguments) -> Tensor:
            with torch.inference_mode(False):
                tensor = make(*arguments)
            if type(tensor) is not Tensor:
                raise _Uncacheable(tensor)
            return tensor

        cached = lru_cache(maxsize=most)(plain)

        @wraps(make)
        def cached_function(*arguments: *Arguments) -> Tensor:
            try:
                return cached(*arguments)
            except _Uncacheable as made:
                return made.tensor

        return cached_function

    return decorate
