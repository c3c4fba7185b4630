"""Long recordings, from their files and a table of intervals to a store."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from last.cli import main
from last.data import open_store
from last.data.preparation.chunks import cut_into_chunks
from last.data.preparation.convert import convert
from last.data.preparation.formats import reader_of
from last.data.preparation.intervals.plans import read_plans
from last.data.preparation.preprocess import preprocess
from last.data.preparation.report import PreparationReport
from last.data.store.protocols import divide
from last.settings.data import DataConfig, ProtocolConfig
from last.settings.intervals import IntervalsConfig
from last.utils.errors import UserError

TABLE = "recording,start,stop,label\nday_P1,0.4,1.2,wave\nday_P1,2,3,clap\nday_P2,1,2,wave\nday_P2,3,3.6,clap\n"
FORMATS = {
    "folder": "coco17_2d",
    "table": "coco17_2d",
    "openpose": "openpose18_2d",
    "coco": "coco17_2d",
    "pyskl": "coco17_2d",
}


def points(frames: int = 40, joints: int = 17) -> np.ndarray:
    moved = np.random.default_rng(0).normal(300, 50, (frames, joints, 2)).round(2)
    moved[:, 1, 0] = moved[:, 0, 0] + 1000 + np.arange(frames)
    return moved


def write(name: str, folder: Path) -> Path:
    """Write two recordings of 40 frames in a format."""
    folder.mkdir()
    joints = points(joints=18 if name == "openpose" else 17)
    scored = np.concatenate([joints, np.ones((*joints.shape[:2], 1))], axis=2)
    if name == "pyskl":
        annotations = [{"frame_dir": f"day_P{n}", "label": 0, "keypoint": joints[None]} for n in (1, 2)]
        split = {"listed_train": ["day_P1"], "listed_val": ["day_P2"]}
        (folder / "a.pkl").write_bytes(pickle.dumps({"split": split, "annotations": annotations}))
        return folder
    for clip in ("day_P1", "day_P2"):
        if name == "folder":
            np.savez(folder / f"{clip}.npz", joints=joints, fps=10.0)
        elif name == "openpose":
            (folder / clip).mkdir()
            for number, frame in enumerate(scored):
                people = [{"person_id": [-1], "pose_keypoints_2d": frame.ravel().tolist()}]
                (folder / clip / f"v_{number:012}_keypoints.json").write_text(json.dumps({"people": people}))
        elif name == "coco":
            results = [{"image_id": n, "keypoints": f.ravel().tolist(), "score": 1.0} for n, f in enumerate(scored)]
            (folder / f"{clip}.json").write_text(json.dumps(results))
        else:
            rows = [f"{t},{j},{x},{y}" for t, frame in enumerate(joints.tolist()) for j, (x, y) in enumerate(frame)]
            (folder / f"{clip}.csv").write_text("\n".join(["frame,joint,x,y", *rows]))
    return folder


def config(name: str = "folder", protocol: ProtocolConfig | None = None, **intervals: object) -> DataConfig:
    return DataConfig(
        name="mine",
        layout=FORMATS[name],
        format=name,
        source_fps=10.0,
        classes=["wave", "clap", "background"],
        split="own",
        protocols={"own": protocol or ProtocolConfig(by="subject", test=[2])},
        intervals=IntervalsConfig(file="x", **intervals),  # type: ignore[arg-type]
    )


def prepare(tmp_path: Path, data: DataConfig, table: str = TABLE, **options: object) -> PreparationReport:
    raw = tmp_path / "raw"
    if not raw.exists():
        write(data.format, raw)
    (raw / "intervals.csv").write_text(table)
    return preprocess(
        data,
        raw,
        tmp_path / "store",
        workers=1,
        tables=[raw / "intervals.csv"],
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_cut_to_the_frame(name: str, tmp_path: Path) -> None:
    prepare(tmp_path, config(name), partial=True)
    store = open_store(tmp_path / "store")
    cut = store.clips[store.clips["label"] < 2]
    spans = ["000004-000012", "000020-000030", "000010-000020", "000030-000036"]
    assert [name.rpartition("/")[2] for name in cut["name"]] == spans
    clip = store[int(np.flatnonzero(store.clips["name"] == "day_P2/000010-000020")[0])]
    told = clip.joints[0, :, 1, 0] - clip.joints[0, :, 0, 0] - 1000
    assert np.allclose(told, np.arange(10, 20), atol=0.01)
    assert store.recordings is not None
    assert [(each.name, each.frames, each.fps) for each in store.recordings.all] == [
        ("day_P1", 40, 10.0),
        ("day_P2", 40, 10.0),
    ]


def test_parts_of_a_recording_are_in_the_same_part_of_a_split(tmp_path: Path) -> None:
    report = prepare(tmp_path, config())
    store = open_store(tmp_path / "store")
    assert store.clips["subject"].tolist() == [int(name[5]) for name in store.clips["name"]]
    assert report.parts["own"] == {"train": 4, "test": 4}
    assert report.recordings == 2
    counts = {row["class"]: row["clips"] for row in report.classes}
    assert counts == {"wave": 2, "clap": 2, "background": 4}


def test_lists_of_recordings_are_protocols_of_their_parts(tmp_path: Path) -> None:
    report = prepare(tmp_path, config("pyskl", protocol=ProtocolConfig(by="file")))
    assert report.parts["listed"] == {"train": 4, "test": 4}


def test_the_report_divides_by_recording_as_training_will(tmp_path: Path) -> None:
    data = config(cut="windows", stride=0.1, protocol=ProtocolConfig(by="file", test_share=0.5))
    report = prepare(tmp_path, data)
    store = open_store(tmp_path / "store")
    parts = divide(store.clips, data, "own")
    assert report.parts["own"] == {"train": len(parts.train), "test": len(parts.test)}
    assert not set(store.clips["recording"][parts.train]) & set(store.clips["recording"][parts.test])


def test_a_changed_table_cuts_again_and_an_equal_one_does_not(tmp_path: Path) -> None:
    prepare(tmp_path, config())
    assert prepare(tmp_path, config()).prepared_before
    with pytest.raises(UserError, match="made from other recordings or with other rules"):
        prepare(tmp_path, config(), TABLE.replace("0.4", "0.5"))
    with pytest.raises(UserError, match="made from other recordings or with other rules"):
        prepare(tmp_path, config(cut="windows"))


def test_workers_cut_as_one_process_does(tmp_path: Path) -> None:
    raw = write("folder", tmp_path / "raw")
    (tmp_path / "t.csv").write_text(TABLE)
    for workers in (1, 2):
        preprocess(
            config(cut="windows"), raw, tmp_path / f"store{workers}", workers=workers, tables=[tmp_path / "t.csv"]
        )
    one, two = (open_store(tmp_path / f"store{workers}") for workers in (1, 2))
    assert one.fingerprint == two.fingerprint


def test_recordings_that_no_row_names_are_left_out_and_reported(tmp_path: Path) -> None:
    only_one = "".join(line for line in TABLE.splitlines(keepends=True) if "P2" not in line)
    report = prepare(tmp_path, config(), only_one, partial=True)
    assert [str(each) for each in report.dropped] == ["day_P2: no row of the intervals names it"]
    report = prepare(tmp_path, config(), only_one + "day_P2,,,\n", overwrite=True)
    assert not report.dropped
    assert report.parts["own"]["test"] == 2  # all of it is background


def test_classes_of_a_table_are_mapped_and_left_out(tmp_path: Path) -> None:
    data = config(cut="windows", window=0.2, stride=0.2)
    data.classes, data.class_map = ["move", "background"], {"wave": "move", "clap": None}
    prepare(tmp_path, data)
    store = open_store(tmp_path / "store")
    assert store.recordings is not None
    assert store.recordings.all[0].intervals == ((4, 12, 0), (20, 30, -1))
    assert len(store) == 2 * 20 - 5 - 3


REFUSED = {
    "unknown recording": ("day_P3,0,1,wave", r"line 2: there is no recording 'day_P3'. Did you mean 'day_P2'"),
    "unknown class": ("day_P1,0,1,wavee", r"line 2: the labels 'wavee' are not classes of mine. Did you mean 'wave'"),
    "only case": ("day_P1,0,1,Wave", r"line 2: the labels 'Wave' are not classes"),
    "backwards": ("day_P1,2,1,wave", r"line 2: the interval runs backwards, from 2 to 1"),
    "empty": ("day_P1,1,1,wave", r"line 2: the interval is empty"),
    "overlap": (
        "day_P1,1,2,wave\nday_P1,1.5,3,clap",
        r"line 3: the interval 1.5 to 3 of 'clap' overlaps 1 to 2 of 'wave' \(.*line 2\)",
    ),
    "overlap by more than a millisecond": (
        "day_P1,3601.125,3603.123,wave\nday_P1,3603.121,3605,clap",
        r"line 3: the interval 3603.121 to 3605 of 'clap' overlaps 3601.125 to 3603.123 of 'wave'",
    ),
    "inside, and short": (
        "day_P1,1,3,wave\nday_P1,2.9995,2.9999,clap",
        r"line 3: the interval 2.9995 to 2.9999 of 'clap' overlaps 1 to 3 of 'wave'",
    ),
    "inside": ("day_P1,1,5,wave\nday_P1,2,3,wave\nday_P1,4,6,clap", r"line 4: .* overlaps 1 to 5 of 'wave'"),
    "point": ("day_P1,1,,wave", r"line 2: 'wave' at 1 is an event without a duration. .* data.intervals.point"),
}


@pytest.mark.parametrize("label", ["wave", "clap"])
@pytest.mark.parametrize("overlap", [0.0, 1e-7, 0.0004, 0.001])
def test_intervals_that_overlap_by_rounding_follow_each_other(label: str, overlap: float, tmp_path: Path) -> None:
    table = f"recording,start,stop,label\nday_P1,1,{2 + overlap},wave\nday_P1,2,3,{label}\nday_P2,1,2,clap\n"
    report = prepare(tmp_path, config(background=None), table)
    store = open_store(tmp_path / "store")
    assert store.recordings is not None
    assert store.recordings.all[0].intervals == ((10, 20, 0), (20, 30, store.classes.index(label)))
    assert not report.cut


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_intervals_are_refused_with_file_line_and_remedy(name: str, tmp_path: Path) -> None:
    rows, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        prepare(tmp_path, config(), f"recording,start,stop,label\n{rows}\n")


def test_an_interval_outside_its_recording_leaves_the_recording_out_and_stops_with_strict(tmp_path: Path) -> None:
    table = TABLE.replace("3,3.6", "3,9.6")
    report = prepare(tmp_path, config(), table, partial=True)
    assert [each.name for each in report.damaged] == ["day_P2"]
    assert "intervals.csv, line 5: the interval 3 to 9.6 s lies outside the recording of 40 frames, 4 s" in str(
        report.damaged[0]
    )
    with pytest.raises(UserError, match=r"A recording is damaged: day_P2.*line 5"):
        prepare(tmp_path, config(), table, strict=True, overwrite=True)


def test_two_subjects_or_two_units_in_a_recording_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 3: the recording 'day_P1' has the subjects 'P1' and 'P2'"):
        prepare(tmp_path, config(), "recording,start,stop,label,subject\nday_P1,0,1,wave,P1\nday_P1,1,2,clap,P2\n")


def test_the_subject_of_a_table_replaces_that_of_the_name(tmp_path: Path) -> None:
    table = "recording,start,stop,label,subject\nday_P1,0,1,wave,P7\nday_P2,1,2,clap,P8\n"
    prepare(tmp_path, config(protocol=ProtocolConfig(by="subject", test=[8])), table)
    assert set(open_store(tmp_path / "store").clips["subject"].tolist()) == {7, 8}


def test_a_person_0_of_a_table_is_known(tmp_path: Path) -> None:
    table = "recording,start,stop,label,subject\nday_P1,0,1,wave,P0\nday_P2,1,2,clap,P8\n"
    prepare(tmp_path, config(protocol=ProtocolConfig(by="subject", test=[8])), table)
    assert set(open_store(tmp_path / "store").clips["subject"].tolist()) == {9, 8}


def test_point_events_get_the_length_of_the_setting(tmp_path: Path) -> None:
    prepare(tmp_path, config(point=0.5), TABLE + "day_P1,3.2,,wave\n")
    assert "day_P1/000032-000037" in open_store(tmp_path / "store").clips["name"]


def test_the_background_has_to_be_a_class_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"background, 'rest', is not in data.classes of mine. Add it"):
        prepare(tmp_path, config(background="rest"))
    prepare(tmp_path, config(background=None))
    assert len(open_store(tmp_path / "store")) == 4


def test_results_of_coco_without_a_frame_keep_the_time_of_the_others(tmp_path: Path) -> None:
    raw = write("coco", tmp_path / "raw")
    for path in raw.glob("*.json"):
        kept = [each for each in json.loads(path.read_text()) if not 5 <= each["image_id"] < 9]
        path.write_text(json.dumps(kept))
    prepare(tmp_path, config("coco"))
    store = open_store(tmp_path / "store")
    clip = store[store.clips["name"].tolist().index("day_P1/000004-000012")]
    assert clip.frame_mask.shape[1] == 8  # frames 4 to 11, four of them without a body
    assert clip.frame_mask.sum() == 4


def test_a_store_of_windows_converts_to_clips(tmp_path: Path) -> None:
    prepare(tmp_path, config(cut="windows"))
    store = open_store(tmp_path / "store")
    convert(store, "folder", tmp_path / "out")
    assert len([*(tmp_path / "out").rglob("*.npz")]) == len(store)


def test_converting_parts_of_recordings_warns_that_they_are_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(tmp_path, config())
    assert main(["convert", str(tmp_path / "store"), "--to", "table", "--out", str(tmp_path / "a.csv")]) == 0
    assert "parts of 2 recordings, which table does not tell" in caplog.text


def test_a_long_recording_is_a_chunk_by_itself(tmp_path: Path) -> None:
    raw = write("folder", tmp_path / "raw")
    (tmp_path / "t.csv").write_text(TABLE)
    entries = reader_of(config()).entries(raw)
    plans = read_plans(config(), [tmp_path / "t.csv"], entries)
    assert [len(chunk.entries) for chunk in cut_into_chunks(entries, config(), plans)] == [1, 1]
    assert [len(chunk.entries) for chunk in cut_into_chunks(entries, config())] == [2]


def test_a_data_set_is_found_from_recordings_and_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("folder", tmp_path / "raw")
    (tmp_path / "t.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    command = ["preprocess", "--format", "folder", "--raw", "raw", "--layout", "coco17", "--workers", "1"]
    assert main([*command, "--intervals", "t.csv", "--out", "data/day"]) == 0
    store = open_store("data/day")
    assert store.classes == ["clap", "wave", "background"]
    assert "file: ../t.csv" in Path("data/day.yaml").read_text()
    # The YAML describes the same data set: its path of the table is relative to itself.
    monkeypatch.chdir(tmp_path / "raw")
    again = ["preprocess", "--dataset", "../data/day.yaml", "--raw", ".", "--out", "../data/again", "--workers", "1"]
    assert main(again) == 0
    assert open_store("../data/again").fingerprint == store.fingerprint


def test_a_table_of_one_recording_is_refused_unless_it_is_only_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("folder", tmp_path / "raw")
    (tmp_path / "t.csv").write_text("recording,start,stop,label\nday_P1,0,1,wave\nday_P1,1,2,clap\n")
    monkeypatch.chdir(tmp_path)
    command = ["preprocess", "--format", "folder", "--raw", "raw", "--layout", "coco17", "--intervals", "t.csv"]
    assert main([*command, "--out", "out"]) == 2
    assert "cut this one into several, each with its own rows" in capsys.readouterr().err
    assert main([*command, "--out", "out", "--partial", "--workers", "1"]) == 0


def test_a_table_of_one_class_without_background_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("folder", tmp_path / "raw")
    (tmp_path / "t.csv").write_text("recording,start,stop,label\nday_P1,0,1,wave\n")
    monkeypatch.chdir(tmp_path)
    command = ["preprocess", "--format", "folder", "--raw", "raw", "--layout", "coco17", "--intervals", "t.csv"]
    assert main([*command, "--out", "out", "--set", "data.intervals.background=null"]) == 2
    assert "at least two are needed" in capsys.readouterr().err
