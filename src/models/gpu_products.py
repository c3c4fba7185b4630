"""Matrix products whose gradients sum over millions of positions, on GPUs.

The gradient of a small weight is a product with a very long inner dimension and a result of a few hundred numbers.
cuBLAS uses only a few blocks for such a product: for a grouped projection of 2 x 10 x 10 over 1.6 million positions,
two, which took 9.9 ms on an H200. Here the inner dimension is split into parts, which form one batched product, and
their results are summed in float32.

The gradient of a large tensor that is used in parts is written part by part; torch concatenates those of the parts.

Legend: K subsets, C channels, G groups, P positions, V joints.
"""

from typing import Any

import torch
from torch import Tensor

from .tracing import is_traced

_SHORTEST_PART = 2048  # positions
_MOST_PARTS = 256


def uses_split_sums(x: Tensor) -> bool:
    """Tell whether products with `x` should be computed by this module."""
    return x.is_cuda and torch.is_grad_enabled() and not is_traced()


def multiply_groups(weight: Tensor, rows: Tensor) -> Tensor:
    """Return `weight @ rows` of each group, (G, C', C) x (G, C, P) -> (G, C', P)."""
    product: Tensor = _GroupProduct.apply(*_in_one_type(weight, rows))  # type: ignore[no-untyped-call]
    return product


def multiply_joints(x: Tensor, adjacency: Tensor) -> Tensor:
    """Return `x @ adjacency` of each channel, (C, P, V) x (C, V, V) -> (C, P, V)."""
    product: Tensor = _JointProduct.apply(*_in_one_type(x, adjacency))  # type: ignore[no-untyped-call]
    return product


def mix_subsets(projected: Tensor, shared: Tensor, own: Tensor) -> Tensor:
    """Mix the joints of each part of the channels by its own adjacency, and sum the parts.

    Args:
        projected: (K * C, T, B, V).
        shared: (K - 1, V, V), the adjacencies of all bodies, in the type of `projected`.
        own: (B, V, V), one of each body for the last part, in that type too.

    Returns:
        (C, T, B, V).
    """
    mixed: Tensor = _SubsetMix.apply(projected, shared, own)  # type: ignore[no-untyped-call]
    return mixed


def parts_of(positions: int) -> int:
    """Return the number of equal parts for a sum over `positions` positions: a power of two that divides them."""
    power = positions & -positions
    while power > 1 and (power > _MOST_PARTS or positions // power < _SHORTEST_PART):
        power //= 2
    return power


def _in_one_type(*tensors: Tensor) -> list[Tensor]:
    """Return the tensors in the type of autocast, or in the widest of their types."""
    if torch.is_autocast_enabled("cuda"):
        return [each.to(torch.get_autocast_dtype("cuda")) for each in tensors]
    return list(tensors)


class _GroupProduct(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, rows: Tensor) -> Tensor:
        context.save_for_backward(weight, rows)
        return torch.bmm(weight, rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, rows = context.saved_tensors
        of_weight = of_rows = None
        if context.needs_input_grad[0]:
            gradient = gradient.contiguous()
            parts = parts_of(rows.shape[2])
            of_weight = torch.stack([_long_product(g, r, parts) for g, r in zip(gradient, rows, strict=True)])
            of_weight = of_weight.to(weight.dtype)
        if context.needs_input_grad[1]:
            of_rows = torch.bmm(weight.transpose(1, 2), gradient)
        return of_weight, of_rows


def _long_product(gradient: Tensor, rows: Tensor, parts: int) -> Tensor:
    """Return `gradient @ rows.T`, (C', P) and (C, P) -> (C', C), in float32 at least."""
    cut = gradient.view(len(gradient), parts, -1).transpose(0, 1)  # (parts, C', P / parts)
    partial = torch.bmm(cut, rows.view(len(rows), parts, -1).permute(1, 2, 0))  # (parts, C', C)
    return partial.sum(dim=0, dtype=torch.promote_types(partial.dtype, torch.float32))


class _JointProduct(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, adjacency: Tensor) -> Tensor:
        context.save_for_backward(x, adjacency)
        return torch.bmm(x, adjacency)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, adjacency = context.saved_tensors
        of_x = of_adjacency = None
        if context.needs_input_grad[0]:
            of_x = torch.bmm(gradient, adjacency.transpose(1, 2))
        if context.needs_input_grad[1]:
            channels, positions, joints = x.shape
            parts = parts_of(positions)
            cut = (channels * parts, positions // parts, joints)
            partial = torch.bmm(x.reshape(cut).transpose(1, 2), gradient.reshape(cut))  # (C * parts, V, V)
            partial = partial.view(channels, parts, joints, joints)
            of_adjacency = partial.sum(dim=1, dtype=torch.promote_types(x.dtype, torch.float32)).to(adjacency.dtype)
        return of_x, of_adjacency


class _SubsetMix(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, projected: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        context.save_for_backward(projected, shared, own)
        *parts, last = projected.chunk(len(shared) + 1)  # (C, T, B, V) each
        joints = projected.shape[3]
        mixed = parts[0].reshape(-1, joints) @ shared[0]  # (C*T*B, V)
        for rows, adjacency in zip(parts[1:], shared[1:], strict=True):
            mixed = torch.addmm(mixed, rows.reshape(-1, joints), adjacency)
        by_body = torch.bmm(last.flatten(0, 1).transpose(0, 1), own)  # (B, C*T, V)
        return mixed.view(last.shape) + by_body.transpose(0, 1).view(last.shape)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        projected, shared, own = context.saved_tensors
        gradient, count, joints = gradient.contiguous(), len(shared), projected.shape[3]
        rows, by_body = gradient.view(-1, joints), gradient.flatten(0, 1).transpose(0, 1)  # (C*T*B, V), (B, C*T, V)
        *parts, last = projected.chunk(count + 1)
        of_projected = of_shared = of_own = None
        if context.needs_input_grad[0]:
            of_projected = torch.empty_like(projected)
            *targets, of_last = of_projected.chunk(count + 1)
            for target, adjacency in zip(targets, shared, strict=True):
                torch.mm(rows, adjacency.t(), out=target.view(-1, joints))
            of_last.view(-1, *of_last.shape[2:]).transpose(0, 1).copy_(torch.bmm(by_body, own.transpose(1, 2)))
        if context.needs_input_grad[1]:
            positions = parts_of(len(rows))
            found = [_long_product(each.reshape(-1, joints).t(), rows.t(), positions) for each in parts]
            of_shared = torch.stack(found).to(shared.dtype)
        if context.needs_input_grad[2]:
            of_own = torch.bmm(last.flatten(0, 1).permute(1, 2, 0), by_body)
        return of_projected, of_shared, of_own
