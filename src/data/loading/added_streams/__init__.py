"""Input streams in addition to joint, velocity and bone: one module each, named in `model.added_streams: {NAME: {}}`.

A module has

- `derive(streams, frame_mask, settings, layout)`: returns the stream, of the shape of the others;
- `Settings`, if it has configuration keys: a dataclass, filled from `model.added_streams.NAME`.

A stream depends only on the joints, so that it is the same in training, in evaluation and in an exported model. It is
set to zero afterwards where a body is absent or a joint is missing.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ....utils.plug_ins import Kind, function_of, of_shape, settings_from

if TYPE_CHECKING:
    from torch import Tensor

    from ....skeleton import Layout


KIND = Kind(
    __name__,
    "input stream",
    reserved=("joint", "velocity", "bone"),
    needs={"derive": function_of("streams", "frame_mask", "settings", "layout")},
)


class StreamModule(Protocol):
    """The contract of a stream's module."""

    def derive(
        self, streams: Mapping[str, "Tensor"], frame_mask: "Tensor", settings: Any, layout: "Layout"
    ) -> "Tensor": ...


class AddedStreams:
    """The streams that a model reads in addition to joint, velocity and bone.

    Args:
        added: their names, each with its settings.

    Raises:
        UserError: there is no stream of that name, or a setting is unknown or invalid.
    """

    def __init__(self, added: Mapping[str, Mapping[str, Any]]) -> None:
        self._modules = {
            name: (module := get_stream(name), settings_from(module, values, f"model.added_streams.{name}"))
            for name, values in added.items()
        }

    def __call__(
        self, streams: dict[str, "Tensor"], frame_mask: "Tensor", layout: "Layout", mask: "Tensor | None" = None
    ) -> dict[str, "Tensor"]:
        """Return the streams and the added ones, each (N, C, T, V, M), zero where nothing was measured.

        Args:
            streams: joint, velocity and bone.
            frame_mask: (N, M, T) bool.
            layout: the joint layout.
            mask: (N, M, T, V) bool, or (N, M, T, 1), which joints were measured; None if all of them in each frame.
        """
        from ..streams import by_joint  # it imports torch, which the names of streams do not need

        absent = ~by_joint(frame_mask if mask is None else mask)
        added = {
            name: of_shape(
                module.derive(streams, frame_mask, settings, layout), streams["joint"].shape, module, "derive"
            ).masked_fill(absent, 0.0)
            for name, (module, settings) in self._modules.items()
        }
        return {**streams, **added}


def get_stream(name: str) -> StreamModule:
    """Return the module of a stream by its name.

    Raises:
        UserError: there is no such stream, or its module cannot be used.
    """
    module: StreamModule = KIND.find(name)
    return module
