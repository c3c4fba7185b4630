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
from ..models.bodies import unsound_clips
from ..models.classifier import trusted
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
    The host waits for a GPU once, behind the last batch, to learn whether all clips were sound.

    Raises:
        ValueError: behind the last batch: a clip has no body, or a coordinate that is not finite.
    """
    autocast = nullcontext if precision is None else precision.autocast
    numbers, unsound = [], []
    for draws in zip(*part.loaders, strict=True):
        moved, scores = [batch.to(device) for batch in draws], []
        with torch.no_grad(), trusted(model):
            for batch in moved:
                streams = pipeline(batch, training=False)
                scores.append(_logits(model, streams, batch, autocast()).float().softmax(dim=1))
                numbers.append(batch.numbers)
                unsound.append(unsound_clips(streams, batch.bodies))
        yield moved[0], torch.stack(scores).mean(dim=0)
    if numbers:
        _refuse(torch.cat(numbers), torch.cat(unsound))


def _logits(
    model: nn.Module, streams: Mapping[str, Tensor], batch: Batch, precision: AbstractContextManager[None]
) -> Tensor:
    with precision:
        logits: Tensor = model(streams, batch.bodies, batch.rows)
    return logits


def _refuse(numbers: Tensor, unsound: Tensor) -> None:
    """Refuse clips that no model can answer; `numbers` and `unsound` are (N,).

    Raises:
        ValueError: there are some; it names the first.
    """
    if bool(unsound.any()):
        raise ValueError(
            f"Clips should have at least one body, and finite numbers only; {int(unsound.sum())} of those tested do "
            f"not, the first is clip {int(numbers[unsound][0])} of the store."
        )
