"""Small constant tensors, copied to each device once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...utils.tensor_cache import cache_tensors


def constant(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `values` as a tensor on `device`, which is shared and must not be changed."""
    return _constant(tuple(values), dtype, device)


@cache_tensors(256)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype).to(
        device, non_blocking=True
    )  # the host does not wait for such a small copy
