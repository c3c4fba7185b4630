"""Recordings of two coordinates, described with a layout of three: found without a data YAML, named with one."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz_recordings import LAYOUTS
from written_formats import WRITERS, a_recording

from last.data.preparation.discover import discover
from last.data.preparation.formats import BadClip, Source, get_reader
from last.data.preparation.formats.other_layouts import flat_layout
from last.settings.data import DataConfig
from last.skeleton import LayoutFile, build_layout, list_layouts, load_layout
from last.utils.errors import UserError


def write_openpose(raw: Path) -> None:
    """Write frames as OpenPose does without `--3d`: the points in space are there, but empty."""
    WRITERS["openpose"](raw, a_recording("openpose"))
    for path in raw.rglob("*.json"):
        content = json.loads(path.read_text())
        content["people"] = [{**person, "pose_keypoints_3d": []} for person in content["people"]]
        path.write_text(json.dumps(content))
    empty = raw / "first" / "an_empty_one" / "video_000000000000_keypoints.json"
    empty.parent.mkdir()
    empty.write_text('{"version": 1.3, "people": []}')


def write_folder(raw: Path) -> None:
    for name in ("first", "second"):
        (raw / name).mkdir()
        np.save(raw / name / "one.npy", a_recording("coco"))


def write_table(raw: Path, *, wide: bool = False) -> None:
    rows = ["clip,frame,joint,x,y,label"]
    names = load_layout("coco17").joints
    if wide:
        rows = [",".join(["clip", "frame", *(f"{name}_{axis}" for name in names for axis in "xy"), "label"])]
    for label in ("first", "second"):
        for frame in range(4):
            points = [f"{frame + joint},{joint}" for joint in range(17)]
            if wide:
                rows.append(",".join([label, str(frame), *points, label]))
            else:
                rows += [f"{label},{frame},{name},{xy},{label}" for name, xy in zip(names, points, strict=True)]
    (raw / "a.csv").write_text("\n".join(rows))


def write_tao(raw: Path) -> None:
    WRITERS["tao"](raw, a_recording("tao", frames=3))
    for path in raw.rglob("*.json"):
        path.write_text(path.read_text().replace("pose3d", "pose25d"))


FLAT: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "openpose": ("openpose", "body25", write_openpose),
    "folder": ("folder", "coco17", write_folder),
    "table": ("table", "coco17", write_table),
    "wide table": ("table", "coco17", lambda raw: write_table(raw, wide=True)),
    "coco": ("coco", "coco17", lambda raw: WRITERS["coco"](raw, a_recording("coco"))),
    "tao": ("tao", "tao34", write_tao),
}


@pytest.fixture(params=FLAT)
def recordings(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, Path]:
    format_name, layout, write = FLAT[request.param]
    write(tmp_path)
    return format_name, layout, tmp_path


def test_the_layout_with_two_coordinates_is_found_without_a_data_yaml(recordings: tuple[str, str, Path]) -> None:
    format_name, layout, raw = recordings
    described = DataConfig(name="mine", layout=layout, format=format_name, bodies=2)
    config, about = discover(described, raw, partial=True)
    assert (config.layout, config.classes) == (f"{layout}_2d", ["first", "second"])
    assert config.normalize.scale == "unit" and f"layout {layout}_2d" in about[0]


def test_the_layout_with_two_coordinates_is_named_with_a_data_yaml(recordings: tuple[str, str, Path]) -> None:
    format_name, layout, raw = recordings
    reader = get_reader(format_name, Source(load_layout(layout), 2, ("first", "second")))
    with pytest.raises((UserError, BadClip), match=rf"use (a layout of 2 coordinates, such as |layout: ){layout}_2d"):
        for entry in reversed(reader.entries(raw)):
            reader.read(entry)


def test_a_layout_of_two_coordinates_is_found_for_every_one_that_has_it() -> None:
    names = list_layouts()
    flat = {name for name in names if name.endswith("_2d")}
    assert {flat_layout(name) for name in names} - {""} == flat
    own = LayoutFile(joints=["a", "b"], bones=[[2, 1]], root=1, center=1)
    assert flat_layout(build_layout("my_own", own, "my_own.yaml").name) == ""
    assert LAYOUTS["openpose"] in flat
