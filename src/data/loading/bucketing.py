"""Batches of few shapes, for compiled or recorded models: the number of bodies to compute is padded to a multiple."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...models.multi_body import padded
from .loader import Batch


def of_few_shapes(
    batches: Iterable[Batch], batch_size: int, *, compiled: bool, recorded: bool = False
) -> Iterable[Batch]:
    """Return the batches with few numbers of bodies to compute, where the model is compiled or recorded for each.

    Recording is quick and a graph small, so that more shapes are allowed there, and less is computed for nothing.
    """
    if compiled:
        return _FewShapes(batches, max(1, batch_size // 4))
    return _FewShapes(batches, batch_size // 64) if recorded and batch_size >= 128 else batches


class _FewShapes:
    """Pad the number of computed bodies of each batch to a multiple."""

    def __init__(self, batches: Iterable[Batch], multiple: int) -> None:
        self.batches, self.multiple = batches, multiple

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            clips, bodies = batch.frame_mask.shape[:2]
            yield replace(batch, body_slots=padded(batch.body_slots, clips * bodies, self.multiple))
