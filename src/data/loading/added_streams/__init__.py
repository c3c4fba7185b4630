"""Input streams beside joint, velocity and bone, one module each, found by its name: `model.added_streams: {NAME: {}}`.

A module has

- `derive(streams, frame_mask, settings, layout)`: returns the stream, of the shape of the others;
- `Settings`, where it has configuration keys of its own: a dataclass, filled from `model.added_streams.NAME`.

A stream is a function of the joints alone, so that training, evaluation and an exported model have the same. Wherever a
body is missing it is set to zero afterwards.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ....utils.plug_ins import find_plug_in, settings_from

if TYPE_CHECKING:
    from torch import Tensor

    from ....skeleton import Layout


class StreamModule(Protocol):
    """What a stream's module has."""

    def derive(
        self, streams: Mapping[str, "Tensor"], frame_mask: "Tensor", settings: Any, layout: "Layout"
    ) -> "Tensor": ...


class AddedStreams:
    """Derive the streams that a model reads beside joint, velocity and bone.

    Args:
        added: their names, each with its settings.

    Raises:
        UserError: there is no stream of a name, or a setting of one is unknown or impossible.
    """

    def __init__(self, added: Mapping[str, Mapping[str, Any]]) -> None:
        self._modules = {
            name: (module := get_stream(name), settings_from(module, values, f"model.added_streams.{name}"))
            for name, values in added.items()
        }

    def __call__(self, streams: dict[str, "Tensor"], frame_mask: "Tensor", layout: "Layout") -> dict[str, "Tensor"]:
        """Return the streams, each (N, C, T, V, M), with the added ones; `frame_mask` is (N, M, T) bool."""
        absent = ~frame_mask.permute(0, 2, 1)[:, None, :, None, :]  # (N, 1, T, 1, M)
        added = {
            name: module.derive(streams, frame_mask, settings, layout).masked_fill(absent, 0.0)
            for name, (module, settings) in self._modules.items()
        }
        return {**streams, **added}


def get_stream(name: str) -> StreamModule:
    """Return the module of a stream by its name.

    Raises:
        UserError: there is none of that name.
    """
    module: StreamModule = find_plug_in(__name__, name, "input stream")
    return module
