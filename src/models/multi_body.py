"""Several bodies per clip: folded into the batch for the backbone, averaged after it.

Legend: N clips, M bodies, B bodies computed (at most N*M), S streams, C coordinates, T frames, V joints, D features.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..settings.model import STREAMS as STREAMS
from ..settings.model import ModelConfig

_HOW = (
    " From a clip of a store, or from joints (bodies, frames, joints, coordinates): `streams, body_mask = "
    "last.model_inputs(model, clip)`, then `model(streams, body_mask)`."
)


def streams_of(config: ModelConfig) -> tuple[str, ...]:
    """Return the names of the streams that a model reads, in one order however they are configured."""
    return (*(name for name in STREAMS if name in config.streams), *config.added_streams)


def check_streams(
    streams: Mapping[str, Tensor],
    body_mask: Tensor | None,
    body_slots: Tensor | None,
    coordinates: int,
    joints: int,
    names: Sequence[str] = STREAMS,
) -> None:
    """Refuse an input whose shapes or types do not fit the model.

    Those of joint, velocity and bone that a model does not read may be there too, since they are always derived; they
    are not looked at.

    Raises:
        ValueError: they are not a mapping of tensors, a stream is missing or unknown, a stream is not floating-point
            (N, C, T, V, M) with the model's C and V and at least one frame and body, the streams differ in shape,
            `body_mask` is not bool (N, M), or `body_slots` is not int64 (B,) or comes without `body_mask`.
    """
    wanted = f"(clips, {coordinates}, frames, {joints}, bodies)"
    if not isinstance(streams, Mapping) or not set(names) <= set(streams) <= {*names, *STREAMS}:
        raise ValueError(
            f"The model needs a dict of the streams {', '.join(names)}, each a tensor {wanted}; its input has "
            f"{_described(streams)}.{_HOW}"
        )
    for name in names:
        if not isinstance(streams[name], Tensor):
            raise ValueError(f"A stream should be a tensor {wanted}; {name!r} has {_described(streams[name])}.{_HOW}")
    shape = streams[names[0]].shape
    if len(shape) != 5 or shape[1] != coordinates or shape[3] != joints or shape[2] < 1 or shape[4] < 1:
        raise ValueError(f"A stream should have the shape {wanted}; {names[0]!r} has {tuple(shape)}.{_HOW}")
    for name in names:
        if not streams[name].is_floating_point():
            raise ValueError(f"A stream should hold floating-point numbers; {name!r} holds {streams[name].dtype}.")
        if streams[name].shape != shape:
            raise ValueError(
                f"The streams differ in shape: {names[0]!r} {tuple(shape)}, {name!r} {tuple(streams[name].shape)}."
            )
    _check_presence(body_mask, body_slots, (shape[0], shape[4]))


def _described(value: object) -> str:
    """Describe an input for an error message: its keys, or its type and shape."""
    if isinstance(value, Mapping):
        return f"the keys {', '.join(map(str, value))}" if value else "no keys"
    shape = getattr(value, "shape", None)
    return f"the type {type(value).__name__}" + (f" and the shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def _check_presence(body_mask: Tensor | None, body_slots: Tensor | None, wanted: tuple[int, int]) -> None:
    """Refuse a `body_mask` that does not fit the streams' (N, M), and `body_slots` that are not a list of indices."""
    for name, given in (("body_mask", body_mask), ("body_slots", body_slots)):
        if not isinstance(given, Tensor | None):
            raise ValueError(f"`{name}` should be a tensor; it has {_described(given)}.")
    if body_mask is not None and (body_mask.shape != wanted or body_mask.dtype != torch.bool):
        raise ValueError(
            f"`body_mask` should have the shape {wanted} (clips, bodies) and the type torch.bool, "
            f"not {tuple(body_mask.shape)} and {body_mask.dtype}."
        )
    if body_slots is None:
        return
    if body_mask is None:
        raise ValueError("`body_slots` needs `body_mask`, which says which bodies are present.")
    if body_slots.dim() != 1 or body_slots.dtype != torch.int64:
        raise ValueError(
            f"`body_slots` should have the shape (bodies present,) and the type torch.int64, "
            f"not {tuple(body_slots.shape)} and {body_slots.dtype}."
        )


def check_values(streams: Mapping[str, Tensor], body_mask: Tensor | None, names: Sequence[str] = STREAMS) -> None:
    """Refuse clips without a body and non-finite coordinates; values of absent bodies are ignored.

    Reads the values on the host, which waits for a GPU once.

    Raises:
        ValueError: the message names the first clip and the stream at fault.
    """
    broken, empty = _faults([streams[name] for name in names], body_mask)
    if not bool(broken.any() | empty.any()):
        return
    if bool(empty.any()):
        clip = int(empty.nonzero()[0])
        raise ValueError(f"Every clip should have at least one body; clip {clip} of {len(empty)} has none.")
    stream, clip, body = broken.nonzero()[0].tolist()
    raise ValueError(
        f"Streams should hold finite numbers only; {names[stream]!r}, given with the shape "
        f"{tuple(streams[names[stream]].shape)}, holds NaN or infinity in clip {clip}, body {body}."
    )


def _faults(streams: Sequence[Tensor], body_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return which present bodies are not finite, (S, N, M), and which clips have no body, (N,)."""
    finite = torch.stack([torch.isfinite(stream).all(dim=(1, 2, 3)) for stream in streams])
    present = torch.ones_like(finite[0]) if body_mask is None else body_mask  # (N, M)
    return present & ~finite, ~present.any(dim=1)


def padded(body_slots: Tensor, num_slots: int, multiple: int) -> Tensor:
    """Pad `body_slots` (B,) to a multiple of `multiple`, so that compiled code gets few shapes.

    A slot of `num_slots` = N * M or more repeats a body whose result is discarded. Unless a model is told that slots
    are `padded`, it does count in the BatchNorm statistics and weights the bodies of a batch slightly unequally.
    """
    missing = -len(body_slots) % multiple
    repeated = body_slots.repeat(-(-missing // max(1, len(body_slots))))[:missing]
    return torch.cat([body_slots, num_slots + repeated])


def fold_bodies(stream: Tensor, body_slots: Tensor | None) -> Tensor:
    """Fold (N, C, T, V, M) into (B, C, T, V): every body, or those of the indices `body_slots`, n * M + m."""
    return select_bodies(stream.permute(0, 4, 1, 2, 3).flatten(0, 1), body_slots)


def select_bodies(folded: Tensor, body_slots: Tensor | None) -> Tensor:
    """Return the bodies at `body_slots` (B,) of (N*M, ...), or all of them where it is None."""
    return folded if body_slots is None else folded.index_select(0, body_slots % len(folded))


def average_bodies(features: Tensor, body_mask: Tensor, body_slots: Tensor | None) -> Tensor:
    """Average the features (B, D) of the bodies present in each clip.

    Args:
        features: one row per computed body.
        body_mask: (N, M) bool; every clip has at least one body.
        body_slots: (B,) the indices n * M + m of the computed bodies; N * M and more mark padding. None if all N*M
            were computed.

    Returns:
        (N, D). Values of absent bodies, even NaN, have no influence.
    """
    clips, bodies = body_mask.shape
    if body_slots is not None:
        slots = body_slots.clamp(max=clips * bodies)
        features = features.new_zeros(clips * bodies + 1, features.shape[1]).index_copy(0, slots, features)[:-1]
    features = features.view(clips, bodies, -1)  # (N, M, D)
    present = body_mask.unsqueeze(-1)  # (N, M, 1)
    total = torch.where(present, features, torch.zeros_like(features)).sum(dim=1)
    return total / present.sum(dim=1).clamp(min=1).to(total.dtype)


def present_body_slots(body_mask: Tensor) -> Tensor:
    """Return the indices n * M + m of the present bodies, in order; reads `body_mask` on the host."""
    return body_mask.flatten().nonzero().squeeze(1)
