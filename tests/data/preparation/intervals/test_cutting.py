"""Cutting recordings by intervals and into windows, to the frame."""

from dataclasses import replace

import numpy as np
import pytest

from last.data.preparation.clean import Body, clean_bodies
from last.data.preparation.formats import BadClip, Entry, Source
from last.data.preparation.formats.clip_builder import ClipMetadata, build_clip
from last.data.preparation.formats.timing import Timing
from last.data.preparation.intervals import cutting
from last.data.preparation.intervals.cutting import CutRecordings, cut, cut_of, recordings_in_store
from last.data.preparation.intervals.plans import Plan, PlannedInterval, Plans
from last.data.store.clip import Clip
from last.data.store.recordings import LEFT_OUT
from last.settings.data import DataConfig
from last.settings.intervals import IntervalsConfig
from last.skeleton import load_layout

LAYOUT = load_layout("coco17_2d")
BACKGROUND, WAVE, CLAP = 0, 1, 2


def moving(frames: int) -> np.ndarray:
    """Return joints (1, T, V, C) whose second joint tells the frame, relative to the first, the centre."""
    joints = np.random.default_rng(0).normal(300, 50, (1, frames, 17, 2)).round()
    joints[0, :, 1, 0] = joints[0, :, 0, 0] + 1000 + np.arange(frames)
    return joints


def recording(joints: np.ndarray, timing: Timing = Timing(fps=10.0), fps: float = 0.0) -> Clip:  # noqa: B008
    return build_clip("day", ClipMetadata(0, subject=4), joints, Source(LAYOUT, 2, (), fps), timing=timing)


def frames_of(clip: Clip) -> list[int]:
    """Return the frames of the recording in a clip, from its second joint."""
    relative = clip.joints[0, :, 1, 0] - clip.joints[0, :, 0, 0]
    return [round(float(each)) - 1000 for each in relative]


def intervals(*spans: tuple[float, float, int], in_frames: bool = False) -> Plan:
    return Plan(tuple(PlannedInterval("a.csv, line 2", *span, in_frames) for span in spans))


def parts_of(clip: Clip, plan: Plan, **settings: object) -> CutRecordings:
    config = DataConfig(
        name="mine",
        layout="coco17_2d",
        classes=["background", "wave", "clap"],
        intervals=IntervalsConfig(file="a.csv", **{"background": None, **settings}),  # type: ignore[arg-type]
    )
    into = CutRecordings()
    cut(clip, Plans(config, {"day": plan}), into)
    return into


def test_an_interval_has_exactly_its_frames() -> None:
    found = parts_of(recording(moving(100)), intervals((1.0, 2.04, WAVE), (5.06, 9.0, CLAP)))
    assert [frames_of(clip) for clip in found.clips] == [list(range(10, 20)), list(range(51, 90))]
    assert found.parts == [(0, 10, 20), (0, 51, 90)]
    assert [(clip.label, clip.subject, clip.name) for clip in found.clips] == [
        (WAVE, 4, "day/000010-000020"),
        (CLAP, 4, "day/000051-000090"),
    ]
    assert found.recordings[0].intervals == ((10, 20, WAVE), (51, 90, CLAP))


def test_intervals_in_frames_need_no_frame_rate() -> None:
    found = parts_of(
        recording(moving(100), Timing()), intervals((10, 20, WAVE), in_frames=True), unit="frames", background=None
    )
    assert frames_of(found.clips[0]) == list(range(10, 20))


def test_a_part_is_the_clip_that_its_frames_alone_would_be() -> None:
    joints = moving(60)
    joints[0, 23, 5] = np.nan
    part = parts_of(recording(joints), intervals((2.0, 4.0, WAVE))).clips[0]
    alone = recording(joints[:, 20:40])
    assert np.allclose(part.joints, alone.joints, atol=1e-3)
    assert np.array_equal(part.frame_mask, alone.frame_mask)
    assert np.array_equal(part.joint_mask, alone.joint_mask)


@pytest.mark.parametrize("timing", [Timing(), Timing(fps=10.0)], ids=["unknown rate", "known rate"])
def test_frames_without_a_body_do_not_move_the_others(timing: Timing) -> None:
    joints = moving(100)
    joints[0, :7] = np.nan  # nobody is there yet
    joints[0, 30:45] = 0
    clip = recording(joints, timing)
    found = parts_of(clip, intervals((50, 60, WAVE), (28, 50, CLAP), in_frames=True), unit="frames")
    there = [[frame for frame in frames_of(part) if frame >= 0] for part in found.clips]
    assert there == [list(range(50, 60)), [28, 29, *range(45, 50)]]
    assert found.recordings[0].frames == 100


def test_frames_that_ntu_files_lack_do_not_move_the_others() -> None:
    points = moving(100)[0]
    body = Body(1, np.r_[5:20, 40:60], points[np.r_[5:20, 40:60]])
    joints, confidence = clean_bodies([body], 2, keep_empty=True)
    assert joints.shape[:2] == confidence.shape[:2] == (1, 60)
    assert np.array_equal(joints[0, 40:], points[40:60])
    assert not joints[0, 20:40].any()
    assert clean_bodies([body], 2)[0].shape[1] == 35


def test_another_frame_rate_moves_intervals_along() -> None:
    clip = recording(moving(100), fps=20.0)
    seconds = parts_of(clip, intervals((2.0, 4.0, WAVE))).parts
    frames = parts_of(clip, intervals((20, 40, WAVE), in_frames=True)).parts
    assert seconds == frames == [(0, 40, 80)]


def test_frames_are_those_of_the_file_where_times_are_irregular() -> None:
    times = np.r_[np.arange(50), 70 + np.arange(50)] / 10  # two seconds are missing in the middle
    clip = recording(moving(100), Timing(times=times))
    assert parts_of(clip, intervals((60, 70, WAVE), in_frames=True)).parts == [(0, 80, 90)]
    assert parts_of(clip, intervals((8.0, 9.0, WAVE))).parts == [(0, 80, 90)]
    assert parts_of(clip, intervals((90, 100, WAVE), in_frames=True)).parts == [(0, 110, 120)]


def test_time_between_intervals_becomes_background_in_pieces() -> None:
    found = parts_of(
        recording(moving(100)),
        intervals((1.0, 2.0, WAVE), (5.5, 9.9, CLAP)),
        background="background",
        longest_background=2.0,
    )
    spans = [(start, stop, clip.label) for (_, start, stop), clip in zip(found.parts, found.clips, strict=True)]
    assert spans == [(0, 10, 0), (10, 20, WAVE), (20, 37, 0), (37, 55, 0), (55, 99, CLAP)]
    assert found.counts[cutting.SHORT_GAPS] == 1


def test_intervals_of_the_background_are_like_the_time_between_others() -> None:
    plan = intervals((1.0, 2.0, WAVE), (2.0, 6.0, BACKGROUND), (7.0, 10.0, CLAP))
    found = parts_of(recording(moving(100)), plan, background="background", longest_background=3.0)
    spans = [(start, stop, clip.label) for (_, start, stop), clip in zip(found.parts, found.clips, strict=True)]
    assert spans == [(0, 10, 0), (10, 20, WAVE), (20, 45, 0), (45, 70, 0), (70, 100, CLAP)]


def test_windows_cover_the_recording_and_have_the_label_of_most_frames() -> None:
    plan = intervals((1.0, 2.5, WAVE), (3.0, 4.0, LEFT_OUT))
    found = parts_of(recording(moving(47)), plan, background="background", cut="windows", window=1.0, stride=0.5)
    spans = {(start, stop): clip.label for (_, start, stop), clip in zip(found.parts, found.clips, strict=True)}
    assert spans == {
        (0, 10): BACKGROUND,
        (5, 15): WAVE,  # half of each: the event
        (10, 20): WAVE,
        (15, 25): WAVE,
        (20, 30): WAVE,
        # Half of 25 to 35, 30 to 40 and half of 35 to 45 are of a class that is left out, and so are these windows.
        (37, 47): BACKGROUND,  # the end
    }
    assert recordings_in_store([found], 0, are_windows=True).parts.shape == (6, 3)


def test_a_recording_shorter_than_a_window_is_one_window() -> None:
    found = parts_of(recording(moving(6)), intervals((0.0, 0.5, WAVE)), cut="windows", window=2.0)
    assert found.parts == [(0, 0, 6)]


def test_a_window_without_a_body_is_left_out_and_counted() -> None:
    joints = moving(60)
    joints[0, 18:42] = np.nan
    found = parts_of(
        recording(joints), intervals((0.0, 1.0, WAVE)), background="background", cut="windows", window=2.0, stride=2.0
    )
    assert found.parts == [(0, 0, 20), (0, 40, 60)]
    assert found.counts == {cutting.NO_BODY: 1}


def test_intervals_that_end_shortly_after_the_recording_are_clipped_and_counted() -> None:
    found = parts_of(recording(moving(100)), intervals((9.0, 10.4, WAVE)))
    assert found.parts == [(0, 90, 100)]
    assert found.counts[cutting.CLIPPED] == 1
    with pytest.raises(BadClip, match=r"a.csv, line 2: the interval 9 to 10.7 s lies outside .* 100 frames, 10 s"):
        parts_of(recording(moving(100)), intervals((9.0, 10.7, WAVE)))
    with pytest.raises(BadClip, match="lies outside"):
        parts_of(recording(moving(100)), intervals((10.0, 10.1, WAVE)))


def test_an_interval_shorter_than_a_frame_is_left_out_and_counted() -> None:
    found = parts_of(recording(moving(100)), intervals((1.0, 1.02, WAVE), (2.0, 3.0, CLAP)))
    assert (found.parts, found.counts[cutting.TOO_SHORT]) == ([(0, 20, 30)], 1)


@pytest.mark.parametrize(
    ("plan", "settings"),
    [(intervals((1.0, 2.0, WAVE)), {}), (intervals((1, 2, WAVE), in_frames=True), {"cut": "windows"})],
    ids=["table", "windows"],
)
def test_seconds_without_a_frame_rate_are_refused(plan: Plan, settings: dict[str, object]) -> None:
    with pytest.raises(
        BadClip, match=r"its frame rate is unknown, so seconds cannot become frames: give data.source_fps"
    ):
        parts_of(recording(moving(100), Timing()), plan, **settings)


def test_too_many_windows_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_MOST_COORDINATES", 10_000)
    with pytest.raises(BadClip, match=r"91 windows of 10 frames would have .* raise data.intervals.stride"):
        parts_of(recording(moving(100)), intervals((1.0, 2.0, WAVE)), cut="windows", window=1.0, stride=0.1)


def test_confidences_and_a_second_body_are_cut_along() -> None:
    joints = np.concatenate([moving(40), moving(40)])
    joints[1, :20] = np.nan
    confidence = np.full((2, 40, 17), 0.5)
    source = Source(LAYOUT, 2, ())
    clip = build_clip("day", ClipMetadata(0), joints, source, confidence=confidence, timing=Timing(fps=10.0))
    found = parts_of(clip, intervals((0.0, 2.0, WAVE), (2.0, 4.0, CLAP)))
    assert [part.joints.shape[:2] for part in found.clips] == [(1, 20), (2, 20)]
    assert all(part.confidence is not None and (part.confidence == 128).all() for part in found.clips)
    full = replace(clip, confidence=np.full_like(clip.confidence, 255) * clip.frame_mask[..., None].astype(np.uint8))
    assert all(part.confidence is None for part in parts_of(full, intervals((0.0, 2.0, WAVE))).clips)


def test_what_is_noted_of_a_cut_is_read_again() -> None:
    found = parts_of(recording(moving(100)), intervals((1.0, 2.0, WAVE), (9.0, 10.4, CLAP)))
    again = cut_of(found.notes([1]))
    assert (again.recordings, again.parts, again.counts) == (found.recordings, found.parts[1:], found.counts)


def test_plans_of_a_chunk_have_its_recordings_only() -> None:
    config = DataConfig(classes=["a"], intervals=IntervalsConfig(background=None))
    plans = Plans(config, {"x": intervals((0, 1, 0)), "y": intervals((0, 2, 0))})
    assert plans.only(["x"]).facts() != plans.only(["y"]).facts()
    assert [*plans.only(["x"]).of] == ["x"]
    assert Entry  # the names are those of entries
