"""Formats of cameras that measure depth: a person who faces the camera looks the same in all of them, as in `ntu25`."""

from pathlib import Path

import numpy as np
import pytest
from fuzz_recordings import LAYOUTS
from written_formats import WRITERS

from last.data.preparation.formats import Source, get_reader
from last.skeleton import load_layout

# The axes of each format as shares of x to the right, y up and z to the camera.
AXES = {"kinect_azure": (1, -1, -1), "mediapipe": (1, -1, -1), "tao": (1, -1, -1), "zed": (1, 1, 1)}


def a_person(joints: tuple[str, ...]) -> np.ndarray:
    """Return joints (1, 1, V, 3) of a person who faces the camera, so that left is to the right of the picture."""
    points = np.zeros((len(joints), 3))
    for number, name in enumerate(joints):
        side = {"left": 0.2, "right": -0.2}.get(name.partition("_")[0], 0.0)
        height = {"ankle": 0.1, "knee": 0.5, "hip": 1.0, "nose": 1.7, "ear": 1.65}.get(name.rpartition("_")[2], 1.2)
        points[number] = side, height, -2.0 + 0.1 * (name == "nose")
    return points[None, None]


@pytest.mark.parametrize("name", AXES)
def test_left_is_at_the_lower_x_up_at_the_higher_y_and_the_face_nearer_to_the_camera(name: str, tmp_path: Path) -> None:
    layout = load_layout(LAYOUTS[name])
    WRITERS[name](tmp_path, a_person(layout.joints) * AXES[name])
    reader = get_reader(name, Source(layout, 2, ("first", "second")))
    (entry,) = reader.entries(tmp_path)
    joints = reader.read(entry).joints[0, 0]
    left, right, nose, ear, ankle = (
        joints[layout.joints.index(each)]
        for each in ("left_shoulder", "right_shoulder", "nose", "left_ear", "left_ankle")
    )
    np.testing.assert_allclose(left - right, [-0.4, 0, 0], atol=1e-5)
    np.testing.assert_allclose((nose - ankle)[1], 1.6, atol=1e-5)
    np.testing.assert_allclose((nose - ear)[2], -0.1, atol=1e-5)
