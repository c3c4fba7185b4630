"""Batches of few shapes for compiled models and CUDA graphs: the number of body slots is padded to a multiple."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...models.multi_body import padded
from .loader import Batch


def of_few_shapes(
    batches: Iterable[Batch],
    batch_size: int,
    *,
    compiled: bool,
    recorded: bool = False,
    masked: bool = False,
    whole: bool = False,
) -> Iterable[Batch]:
    """Return the batches with few different numbers of body slots if the model is compiled or recorded for each.

    Recording is fast and a graph is small, so recorded models get more shapes and less padding; a `whole` step is
    larger. `masked` padding, always that of a whole step, stays out of the statistics of BatchNorm.
    """
    if whole:
        return _FewShapes(batches, max(1, batch_size // 16), masked=True)
    if compiled:
        return _FewShapes(batches, max(1, batch_size // 4))
    return _FewShapes(batches, batch_size // 64, masked=masked) if recorded and batch_size >= 128 else batches


class _FewShapes:
    """Batches whose number of body slots is padded to a multiple."""

    def __init__(self, batches: Iterable[Batch], multiple: int, *, masked: bool = False) -> None:
        self.batches, self.multiple, self.masked = batches, multiple, masked

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            clips, bodies = batch.frame_mask.shape[:2]
            slots = padded(batch.body_slots, clips * bodies, self.multiple)
            is_padded = len(slots) > len(batch.body_slots)
            yield replace(batch, body_slots=slots, padded=self.masked and is_padded)
