"""Augmentations in addition to those of `augment.py`: one module each, named in `data.augment.added: {NAME: {}}`.

A module has

- `augment(joints, draws, settings, layout, frame_mask)`: returns the augmented clips, of the shape of `joints`;
- `Settings`, if it has configuration keys: a dataclass, filled from `data.augment.added.NAME`.

The augmentation of a clip has to be a function of `draws`, so that a resumed run sees the same clips. It is computed
for a whole batch, with tensor operations on the device of `joints`.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ....utils.plug_ins import Kind, function_of, of_shape, settings_from
from .. import counter_rng

if TYPE_CHECKING:
    from torch import Tensor

    from ....settings.data import AugmentConfig
    from ....skeleton import Layout


KIND = Kind(
    __name__, "augmentation", needs={"augment": function_of("joints", "draws", "settings", "layout", "frame_mask")}
)


_WHETHER = 1 << 60  # makes of an augmentation's purpose that of the draw whether it changes a clip


@dataclass(frozen=True)
class Draws:
    """Random numbers of one augmentation, a function of the clips' RNG keys and its name; the same in every call.

    Attributes:
        rng_keys: (N,).
        purpose: separates its numbers from those of other augmentations.
    """

    rng_keys: "Tensor"
    purpose: int

    def uniform(self, count: int) -> "Tensor":
        """Return `count` numbers in [0, 1) for each clip, (N, count) float32."""
        return counter_rng.uniform(self.rng_keys, self.purpose, count)

    def normal(self, count: int) -> "Tensor":
        """Return `count` standard normal numbers for each clip, (N, count) float32."""
        return counter_rng.normal(self.rng_keys, self.purpose, count)


class AugmentationModule(Protocol):
    """The contract of an augmentation's module."""

    def augment(
        self, joints: "Tensor", draws: Draws, settings: Any, layout: "Layout", frame_mask: "Tensor"
    ) -> "Tensor": ...


class AddedAugmentations:
    """The augmentations that a configuration adds, applied in its order.

    Args:
        config: their names and settings.

    Raises:
        UserError: there is no augmentation of that name, or a setting is unknown or invalid.
    """

    def __init__(self, config: "AugmentConfig") -> None:
        self._steps: list[tuple[AugmentationModule, int, Any]] = []
        for name, values in config.added.items():
            module = get_augmentation(name)
            settings = settings_from(module, values, f"data.augment.added.{name}")
            purpose = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big")
            self._steps.append((module, purpose, settings))

    def __call__(
        self,
        joints: "Tensor",
        layout: "Layout",
        frame_mask: "Tensor",
        rng_keys: "Tensor",
        strength: float = 1.0,
    ) -> "Tensor":
        """Return augmented clips (N, C, T, V, M); `frame_mask` is (N, M, T) bool, `rng_keys` (N,).

        Below a `strength` of 1 each of the augmentations changes only that share of the clips.
        """
        for module, purpose, settings in self._steps:
            augmented = module.augment(joints, Draws(rng_keys, purpose), settings, layout, frame_mask)
            augmented = of_shape(augmented, joints.shape, module, "augment")
            if strength < 1:
                changed = counter_rng.uniform(rng_keys, purpose ^ _WHETHER, 1) < strength  # (N, 1)
                augmented = augmented.where(changed[..., None, None, None], joints)
            joints = augmented
        return joints


def get_augmentation(name: str) -> AugmentationModule:
    """Return the module of an augmentation by its name.

    Raises:
        UserError: there is no such augmentation, or its module cannot be used.
    """
    module: AugmentationModule = KIND.find(name)
    return module
