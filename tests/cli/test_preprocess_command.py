"""The command `preprocess`: its options, what it prints, its exit codes."""

import json
from collections.abc import Callable
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
        np.save(tmp_path / "raw" / name / "clip.npy", np.ones((4, 20, 3)))
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "data: {name: mine, layout: kinect20, format: folder, "
        f"split: all, protocols: {{all: {{test: [0]}}}}, classes: [{listed}]}}",
        encoding="utf-8",
    )
    result = cli("preprocess", "--dataset", yaml, "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    if message:
        assert result.code == 2 and message in result.err
        assert not (tmp_path / "out").exists()
    else:
        labels = {clip.name: clip.label for clip in open_store(tmp_path / "out")}
        assert labels == {"wave/clip": 0, "jump/clip": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "nw_uclaa"], "Did you mean 'nw_ucla'"),
        (["--strict"], "a03_s01_e00_v02, line 1"),
        (["--workers", "-1"], "--workers -1"),
        (["--set", "data.bodis=1"], "data.bodis: unknown key"),
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
    assert "python scripts/preprocess.py --dataset ntu60" in result.out
