"""Map the joints of one layout onto those of another, such as an Azure Kinect's onto NTU's.

Legend: M bodies, T frames, V joints of the source, W joints of the target, C coordinates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.config import config_folder, read_yaml
from ..utils.errors import UserError
from ..utils.foreign_text import short
from ..utils.names import suggestion
from .layout import Layout, layout_facts

Origin = str | Sequence[str] | None  # of one joint: a joint of the source, several whose mean is taken, or nothing
_IN_A_PICTURE = "_2d"


@dataclass(frozen=True)
class LayoutMap:
    """Which joints of one layout make each joint of another.

    Attributes:
        source, target: the layouts.
        origins: for each joint of the target, the joints of the source whose mean it is; none where it is missing.
    """

    source: Layout
    target: Layout
    origins: tuple[tuple[int, ...], ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the names of the target's joints that no joint of the source makes."""
        return tuple(name for name, origin in zip(self.target.joints, self.origins, strict=True) if not origin)

    def __call__(self, joints: NDArray[Any]) -> NDArray[np.float64]:
        """Return joints (M, T, V, C) of the source as joints (M, T, W, C') of the target.

        A joint with several origins is the mean of those that are measured, that is, not NaN. It is NaN if none is,
        or if it has none. From space into a picture, z is dropped, and y, which points up, is negated.
        """
        points = np.asarray(joints, dtype=np.float64)
        if self.target.flat and not self.source.flat:
            points = points[..., :2] * (1.0, -1.0)
        mapped = np.full((*points.shape[:-2], self.target.num_joints, points.shape[-1]), np.nan)
        for number, origin in enumerate(self.origins):
            if origin:
                mapped[..., number, :] = _mean_of_measured(points[..., list(origin), :])
        return mapped

    def confidence(self, confidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return confidences (M, T, V) of the source as those (M, T, W) of the target.

        A joint is as certain as the least certain of its measured origins. It is NaN if none is measured, or if it has
        none.
        """
        certain = np.asarray(confidence, dtype=np.float64)
        mapped = np.full((*certain.shape[:-1], self.target.num_joints), np.nan)
        for number, origin in enumerate(self.origins):
            if origin:
                mapped[..., number] = np.fmin.reduce(certain[..., list(origin)], axis=-1)
        return mapped

    def facts(self) -> dict[str, Any]:
        """Return what decides the result, as JSON values."""
        return {"source": layout_facts(self.source), "origins": [list(origin) for origin in self.origins]}


def build_layout_map(
    source: Layout, target: Layout, named: Mapping[str, Origin] | None = None, origin: str = "layout_map"
) -> LayoutMap:
    """Return the map from one layout to another.

    A joint of the target is made of what `named` says, else of what the program's map for these layouts says, else of
    the joint of the same name. What remains is missing.

    Args:
        source, target: the layouts.
        named: joints of the target by name, each with a joint of the source, several whose mean is taken, or None if
            it is missing.
        origin: where `named` is written, for messages.

    Raises:
        UserError: a joint does not exist, the joint on which clips are centred is missing, or the source has fewer
            coordinates; the message lists all problems.
    """
    origins: dict[str, Origin] = {name: name for name in source.joints if name in target.joints}
    origins |= shipped_map(source.name, target.name)
    origins |= named or {}
    problems = list(_problems(source, target, origins))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(f"{origin}: {source.name} cannot be mapped to {target.name}:\n{lines}")
    numbers = {name: number for number, name in enumerate(source.joints)}
    made = (tuple(numbers[each] for each in _listed(origins.get(name))) for name in target.joints)
    return LayoutMap(source, target, tuple(made))


def shipped_map(source: str, target: str) -> dict[str, Origin]:
    """Return the program's map from one layout to another, by their names; empty if it has none.

    Layouts in a picture use the map of the same layouts in space.
    """
    for names in ((source, target), (source.removesuffix(_IN_A_PICTURE), target.removesuffix(_IN_A_PICTURE))):
        path = config_folder() / "layout_map" / f"{'-'.join(names)}.yaml"
        if all(name.isidentifier() for name in names) and path.is_file():
            return read_yaml(path)
    return {}


def _problems(source: Layout, target: Layout, origins: Mapping[str, Origin]) -> Iterator[str]:
    if source.coordinates < target.coordinates:
        yield (
            f"{source.name} has {source.coordinates} coordinates and {target.name} {target.coordinates}: nothing tells "
            "the third one"
        )
    for name, origin in origins.items():
        if name not in target.joints:
            yield f"{short(name)} is no joint of {target.name}.{suggestion(name, target.joints)}"
        for each in _listed(origin):
            if each not in source.joints:
                yield f"{short(name)}: {short(each)} is no joint of {source.name}.{suggestion(each, source.joints)}"
    center = target.joints[target.center]
    if not _listed(origins.get(center)):
        yield (
            f"{center}, the joint on which clips of {target.name} are centred, is missing: add "
            f"{center}: [JOINTS OF {source.name}], for example two joints that it lies between"
        )


def _listed(origin: Origin) -> list[str]:
    if origin is None:
        return []
    return [origin] if isinstance(origin, str) else list(dict.fromkeys(origin))


def _mean_of_measured(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean (..., C) of the joints in points (..., K, C) that are not NaN; NaN where there are none."""
    measured = ~np.isnan(points).any(axis=-1, keepdims=True)
    counts = measured.sum(axis=-2)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a joint that is missing
        mean: NDArray[np.float64] = np.where(measured, points, 0.0).sum(axis=-2) / counts
    return mean
