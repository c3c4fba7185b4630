"""A model's probabilities for the clips of a part, batch by batch.

Legend: N clips.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data.loader import Batch
from ..data.pipeline import InputPipeline
from .precision import Precision


@dataclass(frozen=True)
class TestPart:
    """The clips a model is tested on: one loader a test draw, all in the same order."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    loaders: Sequence[Iterable[Batch]]
    clips: int


def score_batches(
    model: nn.Module,
    part: TestPart,
    pipeline: InputPipeline,
    device: torch.device,
    precision: Precision | None = None,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch on the device with its probabilities (N, classes), averaged over the test draws.

    The model should be in evaluation mode. It computes in `precision`, the streams are derived in float32 always.
    """
    autocast = nullcontext if precision is None else precision.autocast
    for draws in zip(*part.loaders, strict=True):
        moved = [batch.to(device) for batch in draws]
        with torch.no_grad():
            scores = [
                _logits(model, pipeline(batch, training=False), batch, autocast()).float().softmax(dim=1)
                for batch in moved
            ]
        yield moved[0], torch.stack(scores).mean(dim=0)


def _logits(
    model: nn.Module, streams: Mapping[str, Tensor], batch: Batch, precision: AbstractContextManager[None]
) -> Tensor:
    with precision:
        logits: Tensor = model(streams, batch.bodies, batch.rows)
    return logits
