"""Which clips are parts of the same recording."""

import numpy as np

from last.data.store.recordings import RECORDING, recordings_of


def test_clips_have_the_recording_that_the_index_names() -> None:
    assert recordings_of(np.array([(4,), (4,), (9,)], [(RECORDING, "i4")])).tolist() == [4, 4, 9]


def test_without_recordings_each_clip_is_one() -> None:
    assert recordings_of(np.array([("a",), ("b",)], [("name", "U1")])).tolist() == [0, 1]
