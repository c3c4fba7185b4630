"""The examples of docs/data.md run as printed, with less training."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.cli import COMMANDS
from last.settings.data import data_settings
from last.skeleton import list_layouts, load_layout
from last.utils.config import config_names

DOCUMENT = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)


def commands(containing: str) -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if containing in line]


@pytest.fixture
def reader_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> Callable[[str], Any]:
    """Return a function that runs a line of the document in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> Any:
        script, *arguments = shlex.split(line)[1:]
        result = cli(Path(script).stem, *arguments)
        assert result.code == 0, result.err
        return result

    return run


def run_python(block: str) -> None:
    exec(compile(block, "data.md", "exec"), {})  # noqa: S102 - our own document


def test_own_recordings_go_from_arrays_to_a_measured_model(reader_of_it: Callable[[str], Any], tmp_path: Path) -> None:
    write_recordings, *_, read_store, write_page = blocks("python")
    run_python(write_recordings)
    (tmp_path / "gestures.yaml").write_text(blocks("yaml")[0])
    prepare, train = commands("gestures.yaml")
    assert "32 train, 16 test" in reader_of_it(prepare).out
    reader_of_it(re.sub(r"--epochs \d+ (.*) repeats_per_epoch=\d+", r"--epochs 1 \1", train))
    run = next(tmp_path.glob("runs/run-*")).name
    for evaluate in commands("evaluate.py"):
        assert re.search(r"^clips +16$", reader_of_it(evaluate.replace("run-YYYY-MM-DD", run)).out, re.MULTILINE)
    reports = {path.parent.name for path in tmp_path.glob("runs/*/evaluation/*/*.json")}
    assert reports == {"last-test", "last-test-0.3_joints_dropped"}
    run_python(read_store)
    run_python(write_page)
    assert all((tmp_path / name).stat().st_size for name in ("clip.gif", "clip.png", "clip.html"))


def test_a_recording_with_missing_joints_and_confidences_is_prepared_beside_the_others(
    reader_of_it: Callable[[str], Any], tmp_path: Path
) -> None:
    write_recordings, *others = blocks("python")
    (write_npz,) = (block for block in others if "savez" in block)
    run_python(write_recordings)
    run_python(write_npz)
    (tmp_path / "gestures.yaml").write_text(blocks("yaml")[0])
    prepared = reader_of_it(commands("gestures.yaml")[0])
    assert re.search(r"^clips kept +49$", prepared.out, re.MULTILINE)
    assert re.search(r"joints missing +3 of ", prepared.out)


def test_the_example_of_a_map_has_no_mistakes(tmp_path: Path) -> None:
    (example,) = (block for block in blocks("yaml") if "layout_map" in block)
    (tmp_path / "my_room.yaml").write_text(example)
    config = data_settings(str(tmp_path / "my_room.yaml"))
    assert config.joint_map is not None and config.joint_map.missing == ("left_thumb",)
    (program,) = (block for block in blocks("python") if "build_layout_map" in block)
    run_python(program)


def test_the_maps_of_the_document_are_those_of_the_program() -> None:
    passage = DOCUMENT[DOCUMENT.index("The program has maps") : DOCUMENT.index("Equal names suffice")]
    to_ntu25, to_openpose18 = (re.findall(r"`(\w+)`", part) for part in re.split(r"\bto\s+`ntu25`", passage))
    pairs = {f"{name}-ntu25" for name in to_ntu25} | {f"{to_openpose18[0]}-{to_openpose18[1]}"}
    assert pairs == set(config_names("layout_map"))


def test_commands_for_ntu_run_on_raw_files_of_its_format(reader_of_it: Callable[[str], Any], tmp_path: Path) -> None:
    reader_of_it("python scripts/synthesize.py --out data/raw/nturgbd --clips 12")
    (tmp_path / "leave_out.txt").write_text("S001C001P001R001A001.skeleton\n")
    for line in commands("data/raw/nturgbd"):
        assert "clips kept" in reader_of_it(line).out


def test_commands_for_other_data_sets_run_on_real_recordings(
    reader_of_it: Callable[[str], Any], real_recordings: Path
) -> None:
    places = {"data/raw/all_sqe.zip": "nw_ucla/all_sqe.zip", "data/raw/sbu": "sbu"}
    for shown, real in places.items():
        (line,) = commands(shown)
        assert "damaged, left out       0" in reader_of_it(f"{line.replace(shown, str(real_recordings / real))}").out


@pytest.mark.parametrize("line", commands("python scripts/"))
def test_every_command_of_the_document_is_a_known_one(line: str) -> None:
    assert Path(shlex.split(line)[1]).stem in COMMANDS


def test_the_table_of_layouts_is_complete_and_true() -> None:
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)?) \| (\d+) \| ([\d, ]+) \| .* \| (\w+) \| (\w+) \|$", DOCUMENT, re.MULTILINE
    )
    shown = {}
    for names, joints, coordinates, root, center in rows:
        for name, count in zip(re.findall(r"\w+", names), coordinates.split(", "), strict=True):
            shown[name] = (int(joints), int(count), root, center)
    true = {name: load_layout(name) for name in list_layouts()}
    assert shown == {
        name: (each.num_joints, each.coordinates, each.joints[each.root], each.joints[each.center])
        for name, each in true.items()
    }


def test_the_long_recordings_of_the_document_are_cut(reader_of_it: Callable[[str], Any], tmp_path: Path) -> None:
    table = re.search(r"^recording,start,stop,label\n.*?(?=^```)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert table
    (tmp_path / "intervals.csv").write_text(table[0])
    (tmp_path / "recordings").mkdir()
    for name, seconds in (("day1_P3", 65), ("day2_P4", 12), ("day3_P5", 9)):
        joints = np.random.default_rng(0).normal(size=(10 * seconds, 17, 3))
        np.savez(tmp_path / "recordings" / f"{name}.npz", joints=joints, fps=10.0)
    (prepare,) = commands("--intervals")
    assert "Found: 3 recordings of 3 classes" in reader_of_it(prepare).out
