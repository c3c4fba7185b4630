"""COCO's flags of visibility, where confidences or coordinates are expected."""

import numpy as np
import pytest

from last.data.preparation.formats.base import BadClip, Source
from last.data.preparation.formats.clip_builder import ClipMetadata, build_clip
from last.data.preparation.formats.json_recordings import capped_scores
from last.data.preparation.formats.visibility import are_flags, confidence_of_flags
from last.skeleton import load_layout

FLAT, DEEP = load_layout("coco17_2d"), load_layout("coco17")


def points(coordinates: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(10, 90, (1, 6, 17, coordinates))


def flags(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, shape).astype(np.float64)


@pytest.mark.parametrize("values", [[0, 2], [2], [np.nan, 2.0, 1.0]])
def test_flags_are_recognised_by_a_two_among_whole_numbers(values: list[float]) -> None:
    assert are_flags(np.array(values))


@pytest.mark.parametrize("values", [[0, 1], [1.0], [2.0, 0.5], [2.0, 3.0], [np.nan], []])
def test_other_numbers_are_no_flags(values: list[float]) -> None:
    assert not are_flags(np.array(values))


def test_a_hidden_joint_is_less_confident_than_a_visible_one() -> None:
    np.testing.assert_array_equal(confidence_of_flags(np.array([0, 1, 2])), [np.nan, 0.5, 1.0])
    np.testing.assert_array_equal(confidence_of_flags(np.array([np.nan, 1, 2])), [np.nan, 0.5, 1.0])


def test_flags_given_as_confidences_are_refused_with_how_to_convert_them() -> None:
    with pytest.raises(BadClip, match=r"confidences are 0, 1 and 2.* Use 1 for 2 \(visible\), 0\.5 for 1"):
        build_clip("clip", ClipMetadata(0), points(2), Source(FLAT, 1, ()), confidence=flags(1, 6, 17))
    with pytest.raises(BadClip, match="confidences are 0, 1 and 2"):
        capped_scores("clip", flags(17))


def test_flags_given_as_third_coordinates_are_refused_with_where_they_belong() -> None:
    joints = np.concatenate([points(2), flags(1, 6, 17, 1)], axis=3)
    with pytest.raises(BadClip, match=r"third coordinates are 0, 1 and 2.*coco17_2d, and give the flags"):
        build_clip("clip", ClipMetadata(0), joints, Source(DEEP, 1, ()))
    with pytest.raises(BadClip, match=r"has the shape \(1, 6, 17, 3\); coco17_2d .*give it apart, as `confidence`"):
        build_clip("clip", ClipMetadata(0), joints, Source(FLAT, 1, ()))


def test_whole_numbers_in_every_coordinate_are_no_flags() -> None:
    joints = flags(1, 6, 17, 3)
    assert build_clip("clip", ClipMetadata(0), joints, Source(DEEP, 1, ())).joints.shape == (1, 6, 17, 3)
