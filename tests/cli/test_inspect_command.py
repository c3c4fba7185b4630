"""`inspect`: what it prints and writes, its exit code, and that nothing in a set makes it fail."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE_S

from last.cli import main

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write_clips(folder: Path, classes: int = 3, clips: int = 4, frames: int = 30, seed: int = 0) -> Path:
    """Write recordings of a body that stands upright and sways, as a folder for each class."""
    random = np.random.default_rng(seed)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(clips):
            body = np.random.default_rng(7).normal(0, 0.2, (33, 3)) + np.array([0, 1.0, 2.0])
            sway = np.cumsum(random.normal(0, 0.01, (frames, 33, 3)), axis=0)
            np.save(folder / f"class{label}" / f"clip{number}_P00{1 + number}.npy", body + sway)
    return folder


def test_without_torch_a_store_is_inspected_all_but_for_wrong_labels(
    cli: Command, data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("last.cli.inspect.find_spec", lambda _: None)
    monkeypatch.setattr("last.cli.inspect._FEWEST_FOR_STUDENTS", 1)
    result = cli("inspect", data_yaml.parent / "data" / "tiny")
    assert result.code in (0, 5), result.err
    assert "No students are trained" in result.err and "pip install 'last-har[train]'" in result.err
    assert "students were not trained: wrong_labels." in result.out


def test_a_store_is_inspected_on_a_page_and_as_data(cli: Command, data_yaml: Path) -> None:
    store = data_yaml.parent / "data" / "tiny"
    result = cli("inspect", store, "--no_training")
    assert result.code in (0, 5), result.err
    assert "Inspected: 24 clips of the prepared data set tiny" in result.out
    assert "Not looked for, since students were not trained: wrong_labels." in result.out
    assert "More clips: not measured: students were not trained." in result.out
    values = json.loads(Path("inspect-tiny.json").read_text())
    assert values["contents"]["clips"] == 24 and values["spoils"] is (result.code == 5)
    assert (values["curve"], values["no_curve"]) == (None, "students were not trained")
    page = Path("inspect-tiny.html").read_text()
    assert "This was not measured: students were not trained." in page
    assert "tiny" in page and "http" not in page.split("<script", 1)[0].replace("http-equiv", "")


def test_few_clips_train_no_students_and_the_reason_is_told(cli: Command, data_yaml: Path) -> None:
    result = cli("inspect", data_yaml.parent / "data" / "tiny", "--out", "found.json")
    reason = "students were not trained, which need 40 clips or more"
    assert f"More clips: not measured: {reason}." in result.out
    assert json.loads(Path("found.json").read_text())["no_curve"] == reason


def test_raw_recordings_are_inspected_and_what_would_spoil_training_is_an_exit_code(
    cli: Command, tmp_path: Path
) -> None:
    raw = write_clips(tmp_path / "raw")
    for number in range(4):
        (raw / "class1" / f"clip{number}_P00{1 + number}.npy").write_bytes(b"broken")
    result = cli("inspect", raw, "--no_training", "--out", "found.json", "--write_ignore", "bad.txt")
    assert result.code == 5, result.out + result.err
    assert "would spoil training: " in result.out and "4 of 12 clips (33 %)" in result.out
    findings = {each["kind"]: each for each in json.loads(Path("found.json").read_text())["findings"]}
    assert (findings["unreadable"]["severity"], findings["unreadable"]["clips"]) == ("spoils", 4)
    damaged = {f"class1/clip{number}_P00{1 + number}" for number in range(4)}
    assert {each["name"] for each in findings["unreadable"]["evidence"]} == damaged
    assert not Path("found.html").exists()
    ignored = [line for line in Path("bad.txt").read_text().splitlines() if not line.startswith("#")]
    assert damaged <= set(ignored)


def test_a_single_clip_that_cannot_be_used_is_listed_to_be_ignored(cli: Command, tmp_path: Path) -> None:
    raw = write_clips(tmp_path / "raw", clips=40)
    still, single, jumping = sorted(raw.rglob("*.npy"))[5:8]
    np.save(still, np.repeat(np.load(still)[:1], 30, axis=0))
    np.save(single, np.load(single)[:1])
    joints = np.load(jumping)
    joints[15:] += 50  # a mild fault
    np.save(jumping, joints)
    result = cli("inspect", raw, "--no_training", "--out", "found.json", "--write_ignore", "bad.txt")
    findings = {each["kind"]: each for each in json.loads(Path("found.json").read_text())["findings"]}
    assert not any(findings[kind]["severity"] == "spoils" for kind in ("frozen", "one_frame", "body_jumps"))
    assert [findings[kind]["unusable"] for kind in ("frozen", "one_frame", "body_jumps")] == [True, True, False]
    ignored = {line for line in Path("bad.txt").read_text().splitlines() if not line.startswith("#")}
    assert {f"class0/{path.stem}" for path in (still, single)} <= ignored
    assert f"class0/{jumping.stem}" not in ignored
    assert f"bad.txt ({len(ignored)} clips)" in result.out


def test_a_fault_of_all_clips_lists_none_of_them(cli: Command, tmp_path: Path) -> None:
    result = cli("inspect", write_clips(tmp_path / "raw", frames=1), "--no_training", "--write_ignore", "bad.txt")
    assert result.code == 5 and "class0/clip0_P001" not in Path("bad.txt").read_text()


def test_what_is_unknown_of_clips_is_null_in_the_data(cli: Command, tmp_path: Path) -> None:
    contents = json.loads(cli("inspect", write_clips(tmp_path / "raw"), "--no_training", "--json").out)["contents"]
    assert [contents[name] for name in ("frame_rates", "setups", "cameras")] == [{"null": 12}] * 3
    assert contents["subjects"] == {"1": 3, "2": 3, "3": 3, "4": 3}


def test_json_is_printed_and_nothing_written(cli: Command, tmp_path: Path) -> None:
    result = cli("inspect", write_clips(tmp_path / "raw"), "--no_training", "--json")
    assert json.loads(result.out)["contents"]["clips"] == 12
    assert list(Path().iterdir()) == []


def test_with_a_list_of_clips_to_ignore_stdout_is_json_alone(cli: Command, tmp_path: Path) -> None:
    result = cli("inspect", write_clips(tmp_path / "raw"), "--no_training", "--json", "--write_ignore", "bad.txt")
    assert json.loads(result.out)["contents"]["clips"] == 12
    assert "Clips to ignore: " in result.err and Path("bad.txt").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": 1}, "one class"),
        ({"clips": 1}, ""),
        ({"frames": 1}, "Clips of one frame"),
    ],
)
def test_what_no_training_can_use_is_told(change: dict[str, int], said: str, cli: Command, tmp_path: Path) -> None:
    result = cli("inspect", write_clips(tmp_path / "raw", **change), "--no_training")
    assert result.code in (0, 5), result.err
    assert said.lower() in result.out.lower()


@pytest.mark.parametrize("seed", range(12))
def test_no_recording_makes_it_fail(seed: int, cli: Command, tmp_path: Path) -> None:
    raw = write_clips(tmp_path / "raw", clips=3, seed=seed)
    random = np.random.default_rng(seed)
    for path in sorted(raw.rglob("*.npy")):
        joints = np.load(path)
        kind = random.integers(0, 8)
        if kind == 0:
            joints[random.random(joints.shape) < 0.5] = np.nan
        elif kind == 1:
            joints *= 10.0 ** random.integers(-30, 6)
        elif kind == 2:
            joints[:] = 0
        elif kind == 3:
            joints = joints[: random.integers(0, 3)]
        elif kind == 4:
            joints[:] = joints[0]
        elif kind == 5:
            joints[3] = np.inf
        elif kind == 6:
            content = bytearray(path.read_bytes())
            content[random.integers(0, len(content))] ^= 0xFF
            path.write_bytes(content)
            continue
        np.save(path, joints)
    result = cli("inspect", raw, "--no_training", "--layout", "mediapipe33")
    assert result.code in (0, 2, 5), result.err
    assert result.code != 2 or "None of" in result.err or "No recording" in result.err, result.err


def test_a_folder_without_recordings_and_a_wrong_file_name_are_refused(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in ((tmp_path / "empty",), (tmp_path / "gone",), (tmp_path, "--out", "page.txt")):
        result = cli("inspect", *arguments, "--no_training")
        assert (result.code, "Traceback" in result.err) == (2, False), result.err


def test_inspecting_without_students_imports_no_torch(tmp_path: Path) -> None:
    raw = write_clips(tmp_path / "raw")
    program = f"""
import sys
sys.modules["torch"] = None
from last.cli import main
sys.exit(main(["inspect", {str(raw)!r}, "--no_training", "--json"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode in (0, 5), done.stderr


def test_it_is_a_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--help"]) == 0
    assert "--write_ignore" in capsys.readouterr().out


def test_the_command_that_shows_a_clip_reads_it_as_the_inspection_did(cli: Command) -> None:
    folder = write_clips(Path("poses"))
    (folder / "class0" / "broken.npy").write_bytes(b"broken")
    first = sorted(folder.rglob("*.npy"))[1]
    np.save(first, 50 * np.load(first))
    result = cli("inspect", folder, "--layout", "mediapipe33", "--no_training")
    shown = [line.strip() for line in result.out.splitlines() if line.strip().startswith("look: ")]
    assert shown and all("view poses --layout mediapipe33 --clip class0/" in line for line in shown)
    assert not any("broken" in line for line in shown) and "clips: class0/broken" in result.out


def test_printing_the_inspection_and_naming_a_file_for_it_is_refused(cli: Command, data_yaml: Path) -> None:
    result = cli("inspect", data_yaml.parent / "data" / "tiny", "--json", "--out", "page.html")
    assert result.code == 2
    assert "--out: not allowed with argument --json" in result.err
