"""Bodies that only pad a batch to a shape: they are computed, their results are discarded, BatchNorm leaves them out.

Legend: B bodies computed, P positions of a channel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from .tracing import is_traced

_bodies: ContextVar[Tensor | None] = ContextVar("bodies that count", default=None)


@dataclass(frozen=True)
class CountedPositions:
    """Which positions of features (C, P) count in statistics: position p is one of body `(p // inner) % B`.

    Attributes:
        bodies: (B,) bool, the bodies that count, at least one.
        inner: the positions of a body that lie beside each other: joints, or 1.
        positions: P.
    """

    bodies: Tensor
    inner: int
    positions: int

    @cached_property
    def number(self) -> Tensor:
        """Return how many positions count, a float32 ()."""
        return self.bodies.sum().float() * (self.positions // len(self.bodies))

    def mask(self) -> Tensor:
        """Return which positions count, (P,) bool."""
        outer = self.positions // (len(self.bodies) * self.inner)
        return self.bodies[None, :, None].expand(outer, -1, self.inner).flatten()


@contextmanager
def counting(bodies: Tensor | None) -> Iterator[None]:
    """Let only some bodies, (B,) bool, count in BatchNorm's statistics while the block runs; all of them if None."""
    token = _bodies.set(bodies)
    try:
        yield
    finally:
        _bodies.reset(token)


def counted_bodies() -> Tensor | None:
    """Return the bodies that count now, (B,) bool; None if all of them do, as always in compiled code."""
    return None if is_traced() else _bodies.get()


def counted_positions(positions: int, inner: int) -> CountedPositions | None:
    """Return which of the P `positions` of features count now; None if all of them do, as outside of training."""
    bodies = counted_bodies()
    return None if bodies is None else CountedPositions(bodies, inner, positions)
