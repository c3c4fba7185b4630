"""Several bodies a clip: folded into the batch for the backbone, averaged again behind it.

Legend: N clips, M bodies, B bodies computed (at most N*M), S streams, C coordinates, T frames, V joints, D features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

STREAMS = ("joint", "velocity", "bone")
_HOW = (
    " From a clip of a store, or from joints (bodies, frames, joints, coordinates): `streams, valid = "
    "last.model_inputs(model, clip)`, then `model(streams, valid)`."
)


def check_streams(
    streams: Mapping[str, Tensor], valid: Tensor | None, rows: Tensor | None, coordinates: int, joints: int
) -> None:
    """Refuse an input whose shapes or types do not fit the model.

    Raises:
        ValueError: they are no mapping of tensors, a stream is missing or unknown, a stream is not floating-point
            (N, C, T, V, M) with the model's C and V and at least one frame and body, the streams differ in shape,
            `valid` is not bool (N, M), or `rows` is not int64 (B,) or comes without `valid`.
    """
    wanted = f"(clips, {coordinates}, frames, {joints}, bodies)"
    if not isinstance(streams, Mapping) or set(streams) != set(STREAMS):
        raise ValueError(
            f"The model needs a dict of the streams {', '.join(STREAMS)}, each a tensor {wanted}; its input has "
            f"{_described(streams)}.{_HOW}"
        )
    for name in STREAMS:
        if not isinstance(streams[name], Tensor):
            raise ValueError(f"A stream should be a tensor {wanted}; {name!r} has {_described(streams[name])}.{_HOW}")
    shape = streams["joint"].shape
    if len(shape) != 5 or shape[1] != coordinates or shape[3] != joints or shape[2] < 1 or shape[4] < 1:
        raise ValueError(f"A stream should have the shape {wanted}; 'joint' has {tuple(shape)}.{_HOW}")
    for name in STREAMS:
        if not streams[name].is_floating_point():
            raise ValueError(f"A stream should hold floating-point numbers; {name!r} holds {streams[name].dtype}.")
        if streams[name].shape != shape:
            raise ValueError(
                f"The streams differ in shape: 'joint' {tuple(shape)}, {name!r} {tuple(streams[name].shape)}."
            )
    _check_presence(valid, rows, (shape[0], shape[4]))


def _described(value: object) -> str:
    """Return what tells an input from the one that is needed: its keys, or its type and shape."""
    if isinstance(value, Mapping):
        return f"the keys {', '.join(map(str, value))}" if value else "no keys"
    shape = getattr(value, "shape", None)
    return f"the type {type(value).__name__}" + (f" and the shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def _check_presence(valid: Tensor | None, rows: Tensor | None, wanted: tuple[int, int]) -> None:
    """Refuse a `valid` that does not fit the streams' (N, M), and `rows` that are no list of places."""
    for name, given in (("valid", valid), ("rows", rows)):
        if not isinstance(given, Tensor | None):
            raise ValueError(f"`{name}` should be a tensor; it has {_described(given)}.")
    if valid is not None and (valid.shape != wanted or valid.dtype != torch.bool):
        raise ValueError(
            f"`valid` should have the shape {wanted} (clips, bodies) and the type torch.bool, "
            f"not {tuple(valid.shape)} and {valid.dtype}."
        )
    if rows is None:
        return
    if valid is None:
        raise ValueError("`rows` names the bodies to compute; it needs `valid`, which says the bodies that count.")
    if rows.dim() != 1 or rows.dtype != torch.int64:
        raise ValueError(
            f"`rows` should have the shape (bodies present,) and the type torch.int64, "
            f"not {tuple(rows.shape)} and {rows.dtype}."
        )


def check_values(streams: Mapping[str, Tensor], valid: Tensor | None) -> None:
    """Refuse clips without a body and coordinates that are not finite; what an absent body holds does not matter.

    Reads the values on the host, which waits for a GPU once.

    Raises:
        ValueError: it names the first clip, and the stream, at fault.
    """
    broken, empty = _faults(streams, valid)
    if not bool(broken.any() | empty.any()):
        return
    if bool(empty.any()):
        clip = int(empty.nonzero()[0])
        raise ValueError(f"Every clip should have at least one valid body; clip {clip} of {len(empty)} has none.")
    stream, clip, body = broken.nonzero()[0].tolist()
    raise ValueError(
        f"Streams should hold finite numbers only; {STREAMS[stream]!r}, given with the shape "
        f"{tuple(streams[STREAMS[stream]].shape)}, holds NaN or infinity in clip {clip}, body {body}."
    )


def _faults(streams: Mapping[str, Tensor], valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return where a body that is present is not finite, (S, N, M), and which clips have none, (N,)."""
    finite = torch.stack([torch.isfinite(streams[name]).all(dim=(1, 2, 3)) for name in STREAMS])
    present = torch.ones_like(finite[0]) if valid is None else valid  # (N, M)
    return present & ~finite, ~present.any(dim=1)


def padded(rows: Tensor, places: int, multiple: int) -> Tensor:
    """Return `rows` (B,) made a multiple of some number long, so that compiled code meets few shapes.

    A row of `places` = N * M or more names a body that is computed once more and then left out. It does count in
    BatchNorm's statistics, where it weighs bodies of the batch a little unequally; zeros would move them more.
    """
    missing = -len(rows) % multiple
    again = rows.repeat(-(-missing // max(1, len(rows))))[:missing]
    return torch.cat([rows, places + again])


def fold_bodies(stream: Tensor, rows: Tensor | None) -> Tensor:
    """Turn (N, C, T, V, M) into (B, C, T, V): every body, or those that `rows` names by n * M + m."""
    folded = stream.permute(0, 4, 1, 2, 3).flatten(0, 1)  # (N*M, C, T, V)
    return folded if rows is None else folded.index_select(0, rows % len(folded))


def average_bodies(features: Tensor, valid: Tensor, rows: Tensor | None) -> Tensor:
    """Average the features (B, D) of the bodies present in each clip.

    Args:
        features: one row a computed body.
        valid: (N, M) bool; every clip has at least one body.
        rows: (B,) the places n * M + m of the computed bodies, N * M and more for what is to be left out; None where
            all N*M were computed.

    Returns:
        (N, D). What an absent body holds, be it NaN, does not reach it.
    """
    clips, bodies = valid.shape
    if rows is not None:
        places = rows.clamp(max=clips * bodies)
        features = features.new_zeros(clips * bodies + 1, features.shape[1]).index_copy(0, places, features)[:-1]
    features = features.view(clips, bodies, -1)  # (N, M, D)
    present = valid.unsqueeze(-1)  # (N, M, 1)
    total = torch.where(present, features, torch.zeros_like(features)).sum(dim=1)
    return total / present.sum(dim=1).clamp(min=1).to(total.dtype)


def present_rows(valid: Tensor) -> Tensor:
    """Return the places n * M + m of the bodies that are present, in order; reads `valid` on the host."""
    return valid.flatten().nonzero().squeeze(1)
