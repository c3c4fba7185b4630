"""The command `preprocess`: its options, what it prints, its exit codes."""

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from last.data import open_store


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of three recordings in the form of NW-UCLA, one of them damaged."""
    folder = tmp_path / "raw"
    folder.mkdir()
    frame = [[0.1 * joint, 0.2, 0.3] for joint in range(20)]
    for name, label in (("a01_s01_e00_v01", 1), ("a02_s01_e00_v03", 2)):
        text = json.dumps({"label": label, "skeletons": [frame, frame]})
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    (folder / "a03_s01_e00_v02.json").write_text("{", encoding="utf-8")
    return folder


def test_it_prepares_into_the_data_root_and_says_what_was_kept(cli: Callable, raw: Path, tmp_path: Path) -> None:
    result = cli("preprocess", "--dataset", "nw_ucla", "--raw", raw, "--data_root", tmp_path / "data")
    assert result.code == 0
    assert [clip.name for clip in open_store(tmp_path / "data" / "nw_ucla")] == ["a01_s01_e00_v01", "a02_s01_e00_v03"]
    for words in ("clips kept", "1 train, 1 test", "Damaged: a03_s01_e00_v02"):
        assert words in result.out
    assert result.out.splitlines()[-1] == f"Store: {tmp_path / 'data' / 'nw_ucla'}"


def test_a_second_time_it_says_that_all_is_done(cli: Callable, raw: Path, tmp_path: Path) -> None:
    arguments = ("preprocess", "--dataset", "nw_ucla", "--raw", raw, "--out", tmp_path / "out")
    cli(*arguments)
    result = cli(*arguments)
    assert result.code == 0
    assert "already prepared" in result.out


def test_without_a_place_named_it_prepares_where_the_environment_keeps_its_data(
    cli: Callable, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("preprocess", "--dataset", "nw_ucla", "--raw", raw, "--env", "local").code == 0
    assert (tmp_path / "data" / "nw_ucla" / "store.json").is_file()


def test_a_data_set_of_ones_own_is_described_by_a_yaml(cli: Callable, raw: Path, tmp_path: Path) -> None:
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "epochs: 3\ndata: {name: mine, layout: kinect20, format: nw_ucla, split: all,\n"
        "  protocols: {all: {by: camera, test: [3]}}, classes: [one, two, three]}\n",
        encoding="utf-8",
    )
    assert cli("preprocess", "--dataset", yaml, "--raw", raw, "--data_root", tmp_path).code == 0
    assert open_store(tmp_path / "mine").classes == ["one", "two", "three"]


def test_a_set_value_reaches_the_preparation(cli: Callable, raw: Path, tmp_path: Path) -> None:
    options = ("--out", tmp_path / "out", "--set", "data.select.actions=[2]")
    assert cli("preprocess", "--dataset", "nw_ucla", "--raw", raw, *options).code == 0
    assert [clip.name for clip in open_store(tmp_path / "out")] == ["a02_s01_e00_v03"]


def test_an_ignore_list_leaves_its_names_out(cli: Callable, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "ignore.txt").write_text("a heading of words\na03_s01_e00_v02\n", encoding="utf-8")
    options = ("--out", tmp_path / "out", "--ignore", tmp_path / "ignore.txt", "--strict")
    result = cli("preprocess", "--dataset", "nw_ucla", "--raw", raw, *options)
    assert result.code == 0
    assert "1 of the 1 listed" in result.out


def test_a_link_to_nowhere_is_left_out_by_name(cli: Callable, raw: Path, tmp_path: Path) -> None:
    try:
        (raw / "a04_s01_e00_v01.json").symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("this system lets us make no links")
    result = cli("preprocess", "--dataset", "nw_ucla", "--raw", raw, "--out", tmp_path / "out")
    assert result.code == 0
    assert "Damaged: a04_s01_e00_v01: cannot be read: No such file or directory" in result.out


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("wave, jump", ""),
        ("jump", "the folder 'wave' is not listed in data.classes"),
        ("jump, wave, run", "the class 'run' has no folder"),
    ],
)
def test_class_folders_are_the_listed_classes_in_any_order(
    cli: Callable, tmp_path: Path, listed: str, message: str
) -> None:
    for name in ("jump", "wave"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for subject in (1, 2):
            np.save(tmp_path / "raw" / name / f"clip_P{subject}.npy", np.ones((4, 20, 3)))
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "data: {name: mine, layout: kinect20, format: folder, "
        f"split: xsub, protocols: {{xsub: {{test: [2]}}}}, classes: [{listed}]}}",
        encoding="utf-8",
    )
    result = cli("preprocess", "--dataset", yaml, "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    if message:
        assert result.code == 2 and message in result.err
        assert not (tmp_path / "out").exists()
    else:
        labels = {clip.name: clip.label for clip in open_store(tmp_path / "out")}
        assert labels == {"wave/clip_P1": 0, "wave/clip_P2": 0, "jump/clip_P1": 1, "jump/clip_P2": 1}


def own_data(folder: Path, clips: Sequence[str], about: str) -> tuple[Path, Path]:
    """Write clips of noise under their names, and a data YAML; return the YAML and the raw folder."""
    for number, clip in enumerate(clips):
        path = folder / "raw" / f"{clip}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(number).normal(size=(12, 20, 3)))
    (folder / "mine.yaml").write_text(f"data: {{name: mine, layout: kinect20, format: folder, {about}}}")
    return folder / "mine.yaml", folder / "raw"


@pytest.mark.parametrize("names", [("yes", "no"), ("010", "011"), ("00", "01"), ("1e3", "null")])
def test_class_names_stay_as_they_are_written_from_the_yaml_to_the_store(
    cli: Callable, tmp_path: Path, names: Sequence[str]
) -> None:
    clips = [f"{name}/take_P{subject}" for name in names for subject in (1, 2)]
    about = f"classes: [{', '.join(names)}], split: own, protocols: {{own: {{test: [2]}}}}"
    yaml, raw = own_data(tmp_path, clips, about)
    result = cli("preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    store = open_store(tmp_path / "out")
    assert store.classes == list(names)
    assert {clip.name: store.classes[clip.label] for clip in store} == {clip: clip.split("/")[0] for clip in clips}


def test_clips_without_known_subjects_are_refused_with_what_to_do_and_nothing_is_written(
    cli: Callable, tmp_path: Path
) -> None:
    clips = [f"{name}/take{take}_s{take:02}" for name in "ab" for take in range(4)]
    yaml, raw = own_data(tmp_path, clips, "classes: [a, b], split: own, protocols: {own: {test: [3]}}")
    result = cli("preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out")
    assert result.code == 2
    assert "8 of 8 clips of own have no known subject" in result.err
    assert "their names have s00, s01, s02 and 1 more, which is not recognised" in result.err
    assert "by: file" in result.err
    assert not (tmp_path / "out" / "store.json").exists()
    remedy = ["--set", "data.protocols.own={by: file, test_share: 0.25, test: []}"]
    result = cli("preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out", *remedy)
    assert result.code == 0, result.err
    assert "6 train, 2 test" in result.out


def test_what_a_training_would_say_ends_the_report(cli: Callable, tmp_path: Path) -> None:
    clips = ["a/x_P1", "a/y_P2", "b/x_P2", "b/y"]
    protocols = "protocols: {own: {test: [2]}, wrong: {test: [9]}}"
    yaml, raw = own_data(tmp_path, clips, f"classes: [a, b], split: wrong, {protocols}")
    result = cli("preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out", "--partial")
    assert result.code == 0
    warnings = [line for line in result.out.splitlines() if line.startswith("Before training:")]
    assert "1 of 4 clips of own have no known subject and are in neither part" in warnings[0]
    assert "All 1 training clip of own are of one class (a), so there is nothing to tell apart" in warnings[1]
    assert "1 of 2 classes of own has no training clip (b); the accuracy of 1 test clip of it" in warnings[2]
    assert "The test part of mine wrong holds no clip" in "".join(warnings)
    assert "The protocol wrong cannot be trained: train with --split own." in "".join(warnings)
    assert "1 of 4 clips of own have no known subject" in (tmp_path / "out" / "report.txt").read_text()


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ("wrong", "data.split: wrong, has an empty part. Write another one as data.split: own or other"),
        ("onw", "data.split: onw, does not exist. Write another one as data.split: own or other."),
    ],
)
def test_a_default_protocol_that_cannot_be_trained_is_refused_though_others_can(
    cli: Callable, tmp_path: Path, split: str, problem: str
) -> None:
    protocols = "protocols: {own: {test: [2]}, wrong: {test: [9]}, other: {by: file}}"
    yaml, raw = own_data(tmp_path, ["a/x_P1", "a/y_P2"], f"classes: [a], split: {split}, {protocols}")
    result = cli("preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out")
    assert result.code == 2 and not (tmp_path / "out" / "store.json").exists()
    assert problem in result.err and "use --partial" in result.err
    assert "among 2 clips the values of 'subject' are 1, 2." in result.err


def test_a_sample_of_a_known_data_set_is_prepared_though_it_cannot_be_trained(cli: Callable, tmp_path: Path) -> None:
    clip = {"label": 1, "skeletons": np.ones((3, 20, 3)).tolist()}
    (tmp_path / "a01_s01_e00_v01.json").write_text(json.dumps(clip))
    result = cli("preprocess", "--dataset", "nw_ucla", "--raw", tmp_path, "--out", tmp_path / "out")
    assert result.code == 0
    assert "The test part of nw_ucla xview holds no clip" in result.out


def test_changed_protocols_are_counted_again_without_another_store(cli: Callable, tmp_path: Path) -> None:
    clips = [f"{name}/take_P{subject}" for name in "ab" for subject in (1, 2, 3)]
    yaml, raw = own_data(tmp_path, clips, "classes: [a, b], split: own, protocols: {own: {test: [3]}}")
    command = ["preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out"]
    assert "4 train, 2 test" in cli(*command).out
    before = (tmp_path / "out" / "joints.npy").stat().st_mtime_ns
    result = cli(*command, "--set", "data.protocols.own.test=[2, 3]")
    assert "already prepared" in result.out and "2 train, 4 test" in result.out
    assert "2 train, 4 test" in (tmp_path / "out" / "report.txt").read_text()
    assert (tmp_path / "out" / "joints.npy").stat().st_mtime_ns == before
    assert cli(*command, "--set", "data.protocols.own.test=[9]").code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "nw_uclaa"], "Did you mean 'nw_ucla'"),
        (["--strict"], "a03_s01_e00_v02, line 1"),
        (["--workers", "-1"], "--workers -1"),
        (["--set", "data.bodis=1"], "data.bodis: unknown key"),
        (["--set", "data.min_confidence=0.3"], "data.min_confidence has no effect on a preparation"),
        (["--set", "data.intervals.window=3"], "data.intervals.window has no effect without a table"),
        (["--set", "data.name=../up"], "should be a plain name"),
        (["--raw", "nowhere"], "There is no raw folder nowhere"),
        (["--ignore", "nowhere"], "Cannot read the ignore list nowhere"),
        (["--env", "mars"], "mars"),
    ],
)
def test_a_wrong_option_ends_with_one_message_and_code_2(
    cli: Callable, raw: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    where = () if "--env" in options else ("--out", tmp_path / "out")
    result = cli("preprocess", "--dataset", "nw_ucla", "--raw", raw, *where, *options)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out" / "store.json").exists()


def test_help_shows_examples(cli: Callable) -> None:
    result = cli("preprocess", "--help")
    assert result.code == 0
    assert "python -m last preprocess --dataset ntu60" in result.out


def test_a_list_of_the_file_that_is_named_like_a_protocol_of_the_data_set_stays_beside_it(
    cli: Callable, tmp_path: Path
) -> None:
    keypoints = np.ones((1, 4, 20, 3))
    annotations = [{"frame_dir": name, "label": 0, "keypoint": keypoints} for name in "abcd"]
    split = {"own_train": ["a", "b"], "own_val": ["c"]}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"split": split, "annotations": annotations}))
    text = "data: {name: m, layout: kinect20, format: pyskl, classes: [k], split: own, protocols: {own: {by: file}}}"
    (tmp_path / "m.yaml").write_text(text)
    result = cli("preprocess", "--dataset", tmp_path / "m.yaml", "--raw", tmp_path / "x.pkl", "--out", tmp_path / "o")
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.splitlines()]
    assert ["own", "3", "train,", "1", "test"] in rows and ["own_file", "2", "train,", "1", "test"] in rows


def test_a_finished_store_stays_when_other_recordings_are_refused(cli: Callable, tmp_path: Path) -> None:
    clips = [f"{name}/take_P{subject}" for name in "ab" for subject in (1, 2)]
    yaml, raw = own_data(tmp_path, clips, "classes: [a, b], split: own, protocols: {own: {test: [2]}}")
    command = ["preprocess", "--dataset", yaml, "--raw", raw, "--out", tmp_path / "out"]
    assert cli(*command).code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.*") if path.is_file()}
    for path in raw.rglob("*_P2.npy"):
        path.unlink()
    result = cli(*command, "--overwrite")
    assert result.code == 2 and f"The finished store in {tmp_path / 'out'} is left unchanged." in result.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.*") if path.is_file()} == before


def test_a_data_root_that_is_a_store_is_prepared_in_its_place_or_refused(cli: Callable, tmp_path: Path) -> None:
    cli("synthesize", "--out", tmp_path / "raw", "--clips", 24, "--quiet")
    store, asked = tmp_path / "mine", ("preprocess", "--raw", tmp_path / "raw")
    assert cli(*asked, "--dataset", "synthetic", "--out", store).code == 0
    again = cli(*asked, "--dataset", "synthetic", "--data_root", store)
    assert (again.code, f"Store: {store}\n" in again.out) == (0, True)
    other = cli(*asked, "--dataset", "ntu60", "--data_root", store)
    assert (other.code, "is a store itself, of 'synthetic'" in other.err) == (2, True)


def test_clips_of_ones_own_to_test_on_alone_are_prepared_where_that_is_meant(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "wave"
    folder.mkdir(parents=True)
    for take in range(3):
        np.save(folder / f"take{take}_P007.npy", np.random.default_rng(take).normal(size=(8, 25, 3)).astype(np.float32))
    text = (
        "data: {name: mine, layout: ntu25, format: folder, classes: [wave], split: own, protocols: {own: {test: [7]}}}"
    )
    (tmp_path / "mine.yaml").write_text(text)
    asked = ("preprocess", "--dataset", tmp_path / "mine.yaml", "--raw", tmp_path / "raw", "--out", tmp_path / "store")
    refused = cli(*asked)
    assert (refused.code, "To write it anyway, use --partial" in refused.err) == (2, True)
    assert cli(*asked, "--partial").code == 0
