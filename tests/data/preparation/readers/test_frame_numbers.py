"""Formats whose frames have numbers: frames that no number names are frames without a body."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fuzz_recordings import LAYOUTS
from written_formats import WRITERS, a_recording

from last.data.preparation.formats import BadClip, Source, get_reader
from last.data.store.clip import Clip
from last.skeleton import load_layout

NUMBERS = (3, 4, 7, 9)
Renumber = Callable[[Path, Sequence[int]], None]


def renumber_coco(folder: Path, numbers: Sequence[int]) -> None:
    path = folder / "first" / "one.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps([{**each, "image_id": numbers[each["image_id"]]} for each in results]))


def name_images_of_coco(folder: Path, numbers: Sequence[int]) -> None:
    path = folder / "first" / "one.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps([{**each, "image_id": f"v2_{numbers[each['image_id']]:04}.jpg"} for each in results]))


def write_as_mmpose(folder: Path, numbers: Sequence[int]) -> None:
    path = folder / "first" / "one.json"
    frames: dict[int, list[dict[str, object]]] = {}
    for each in json.loads(path.read_text()):
        points = np.reshape(each["keypoints"], (-1, 3))
        scores = points[:, 2].tolist()
        frames.setdefault(numbers[each["image_id"]], []).append(
            {"keypoints": points[:, :2].tolist(), "keypoint_scores": scores, "track_id": each["track_id"]}
        )
    info = [{"frame_id": number, "instances": bodies} for number, bodies in frames.items()]
    path.write_text(json.dumps({"meta_info": {}, "instance_info": info}))


def renumber_tao(folder: Path, numbers: Sequence[int]) -> None:
    path = folder / "first" / "one.json"
    content = json.loads(path.read_text())
    for frame in (frame for batch in content for frame in batch["batches"]):
        frame["frame_num"] = numbers[frame["frame_num"]]
    path.write_text(json.dumps(content))


def renumber_openpose(folder: Path, numbers: Sequence[int]) -> None:
    files = sorted((folder / "first" / "one").iterdir())
    for number, path in reversed([*zip(numbers, files, strict=True)]):
        path.rename(path.with_name(f"video_{number:012}_keypoints.json"))


def renumber_rows(path: Path, numbers: Sequence[int], column: int, first: int) -> None:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    for row in rows[first:]:
        row[column] = str(numbers[int(row[column])])
    path.write_text("\n".join(",".join(row) for row in rows))


def renumber_sleap(folder: Path, numbers: Sequence[int]) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "first" / "one.slp", "r+") as file:
        table = file["frames"][()]
        table["frame_idx"] = np.array(numbers)[table["frame_idx"].astype(int)]
        file["frames"][...] = table


RENUMBER: dict[str, tuple[str, Renumber]] = {
    "coco": ("coco", renumber_coco),
    "names of pictures": ("coco", name_images_of_coco),
    "mmpose": ("coco", write_as_mmpose),
    "tao": ("tao", renumber_tao),
    "openpose": ("openpose", renumber_openpose),
    "dlc": ("dlc", lambda folder, numbers: renumber_rows(folder / "first" / "one.csv", numbers, 0, 4)),
    "table": ("table", lambda folder, numbers: renumber_rows(folder / "a.csv", numbers, 1, 1)),
    "sleap": ("sleap", renumber_sleap),
}
every_form = pytest.mark.parametrize("form", RENUMBER)


def read(form: str, folder: Path, numbers: Sequence[int], *, is_long: bool = False, fps: float = 0.0) -> Clip:
    name, renumber = RENUMBER[form]
    folder.mkdir(exist_ok=True)
    WRITERS[name](folder, a_recording(name, bodies=1, frames=len(numbers)))
    renumber(folder, numbers)
    source = Source(load_layout(LAYOUTS.get(name, "ntu25")), 2, ("first", "second"), source_fps=fps)
    reader = get_reader(name, replace(source, is_long=is_long))
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def places(clip: Clip) -> tuple[list[int], int]:
    """Return the places in the recording of the frames with a body, and how many frames it has."""
    assert clip.timeline is not None
    return clip.timeline.numbers[clip.frame_mask.any(axis=0)].tolist(), clip.timeline.frames


@every_form
def test_frames_of_a_long_recording_keep_the_places_that_their_numbers_say(form: str, tmp_path: Path) -> None:
    assert places(read(form, tmp_path, NUMBERS, is_long=True)) == ([3, 4, 7, 9], 10)


@every_form
def test_a_clip_of_a_known_rate_keeps_the_frames_without_a_body_between_others(form: str, tmp_path: Path) -> None:
    clip = read(form, tmp_path, NUMBERS, fps=25)
    assert clip.frame_mask[0].tolist() == [True, True, False, False, True, False, True]


@every_form
def test_a_clip_from_the_middle_of_a_video_is_read_though_its_numbers_are_high(form: str, tmp_path: Path) -> None:
    assert read(form, tmp_path, (900_000, 900_001), fps=25).frame_mask.shape == (1, 2)


@every_form
def test_numbers_that_are_too_far_apart_are_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(
        BadClip, match=r"its frames are 0 to 400000; at most 262144 are possible|or more than 262144 frames"
    ):
        read(form, tmp_path, (0, 400_000), fps=25)
    with pytest.raises(BadClip, match=r"counted from 0; at most .* give those of a part of a video numbers from 0"):
        read(form, tmp_path / "long", (400_000, 400_001), is_long=True)


@pytest.mark.parametrize(("form", "first"), [("coco", 1), ("names of pictures", 1), ("table", 1), ("sleap", 0)])
def test_numbers_of_sources_that_may_count_from_1_do_if_the_lowest_is_1(form: str, first: int, tmp_path: Path) -> None:
    assert places(read(form, tmp_path, (1, 3), is_long=True)) == ([1 - first, 3 - first], 4 - first)


@pytest.mark.parametrize(("digits", "first"), [(12, 0), (4, 1)])
def test_openposes_own_numbers_count_from_0_and_those_of_pictures_from_1(
    digits: int, first: int, tmp_path: Path
) -> None:
    WRITERS["openpose"](tmp_path, a_recording("openpose", bodies=1, frames=3))
    folder = tmp_path / "first" / "one"
    (folder / "video_000000000000_keypoints.json").unlink()
    for path in list(folder.iterdir()):
        number = int(path.name.split("_")[1])
        path.rename(path.with_name(f"video_{number:0{digits}}_keypoints.json"))
    reader = get_reader("openpose", Source(load_layout("body25_2d"), 2, (), is_long=True))
    (entry,) = reader.entries(tmp_path)
    assert places(reader.read(entry)) == ([1 - first, 2 - first], 3 - first)


@pytest.mark.parametrize(("start", "frames"), [(0.12, 10), (1.7e9, 7)], ids=["of the recording", "of a clock"])
def test_times_beside_frame_numbers_count_from_the_same_start_if_they_can(
    start: float, frames: int, tmp_path: Path
) -> None:
    numbers = (3, 4, 5, 7, 8, 9)
    header = ",".join(f"{joint}_{axis}" for joint in load_layout("coco17_2d").joints for axis in "xy")
    rows = [",".join([str(number), repr(start + (number - 3) / 25), *map(str, range(1, 35))]) for number in numbers]
    (tmp_path / "one.csv").write_text("\n".join([f"frame,time,{header}", *rows]))
    reader = get_reader("table", Source(load_layout("coco17_2d"), 2, (), is_long=True))
    (entry,) = reader.entries(tmp_path)
    clip = reader.read(entry)
    assert places(clip) == ([number - (10 - frames) for number in numbers], frames) and clip.fps == pytest.approx(25)
