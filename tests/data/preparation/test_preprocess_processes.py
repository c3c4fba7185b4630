"""Preparing a data set in several processes: the same bytes, signals, real recordings."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from last.data import open_store
from last.data.preparation.preprocess import preprocess
from last.data.store.copies import find_copies
from last.data.store.protocols import split
from last.settings.data import data_settings
from last.utils.errors import UserError


def write_recordings(folder: Path, count: int, frames: int) -> Path:
    """Write `count` recordings in the form of NW-UCLA."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        label, view = number % 6 + 1, number % 3 + 1
        skeletons = random.normal(size=(frames, 20, 3)).round(3).tolist()
        path = folder / f"a{label:02d}_s{number // 60:02d}_e{number % 60:02d}_v{view:02d}.json"
        path.write_text(json.dumps({"label": label, "skeletons": skeletons}), encoding="utf-8")
    return folder


def arrays(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.npy"))}


def test_two_processes_write_the_same_bytes_as_one_and_strict_names_the_first_damage(tmp_path: Path) -> None:
    raw = write_recordings(tmp_path / "raw", 150, frames=3)
    damaged = sorted(raw.iterdir())[100]
    damaged.write_text("{", encoding="utf-8")
    config = data_settings("nw_ucla")
    one = preprocess(config, raw, tmp_path / "one", workers=1)
    two = preprocess(config, raw, tmp_path / "two", workers=2)
    assert arrays(tmp_path / "one") == arrays(tmp_path / "two")
    assert (one.kept, one.left_out, one.classes) == (two.kept, two.left_out, two.classes)
    with pytest.raises(UserError, match=damaged.stem):
        preprocess(config, raw, tmp_path / "strict", workers=2, strict=True)


def test_preparing_imports_nothing_of_torch() -> None:
    code = "import sys, last.data.preparation.preprocess; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_preparation_stopped_by_a_signal_resumes_and_gives_the_same_bytes(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    raw = write_recordings(tmp_path / "raw", 900, frames=120)
    preprocess(data_settings("nw_ucla"), raw, tmp_path / "whole", workers=1)
    command = [sys.executable, "-m", "last", "preprocess", "--dataset", "nw_ucla", "--workers", "2"]
    process = subprocess.Popen([*command, "--raw", str(raw), "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL)
    while not list((tmp_path / "out").glob(".partial/*.npz")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(60) == code
    assert not (tmp_path / "out" / "store.json").exists()
    again = preprocess(data_settings("nw_ucla"), raw, tmp_path / "out", workers=1)
    assert again.read_bytes < again.input_bytes
    assert arrays(tmp_path / "out") == arrays(tmp_path / "whole")


def test_the_real_ntu_samples_all_pass(real_recordings: Path, tmp_path: Path) -> None:
    report = preprocess(data_settings("ntu60"), real_recordings / "ntu_samples", tmp_path / "out", workers=1)
    assert (report.found, report.kept, report.left_out) == (6, 6, [])
    assert {clip.name: clip.label + 1 for clip in open_store(tmp_path / "out")} == {
        "S001C001P001R001A001": 1,
        "S001C001P001R001A050": 50,
        "S002C001P003R001A003": 3,
        "S003C001P015R001A034": 34,
        "S017C003P020R002A055": 55,
        "S017C003P020R002A057": 57,
    }


def number_of_copies(folder: Path, name: str, protocol: str) -> int:
    """Return the number of test clips that are copies of training clips."""
    store = open_store(folder, verify=False)
    parts = split(store.clips, data_settings(name), protocol)
    return len(find_copies(store, parts.train, parts.test))


def test_the_real_nw_ucla_gives_its_known_counts_and_copies(real_recordings: Path, tmp_path: Path) -> None:
    report = preprocess(data_settings("nw_ucla"), real_recordings / "nw_ucla", tmp_path / "out", workers=1)
    assert (report.found, report.kept) == (1484, 1484)
    assert report.parts["xview"] == {"train": 1020, "test": 464}
    # In the archive a02 and a03 of view 3 are those of view 2, number by number.
    found = {protocol: number_of_copies(tmp_path / "out", "nw_ucla", protocol) for protocol in report.parts}
    assert found == {"xview": 95, "view1to2": 0, "view2to1": 0}


def test_the_real_sbu_gives_its_known_counts_and_no_copies(real_recordings: Path, tmp_path: Path) -> None:
    report = preprocess(data_settings("sbu"), real_recordings / "sbu", tmp_path / "out", workers=1)
    assert (report.found, report.kept, report.two_bodies) == (282, 282, 282)
    assert sum(part["test"] for part in report.parts.values()) == 282
    assert not any(number_of_copies(tmp_path / "out", "sbu", protocol) for protocol in report.parts)
