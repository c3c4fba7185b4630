"""`live` turns frames of standard input, or of a recording, into events."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from deploy_probes import SharedExport
from patience import PATIENCE_S
from written_formats import WRITERS, a_recording

from last.cli import live as command

Command = Callable[..., Any]


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return give


def lines(frames: int = 60, **more: Any) -> list[str]:
    joints = np.random.default_rng(0).normal(size=(25, 3)).tolist()
    return [json.dumps({"joints": joints, "time": number / 30, **more}) for number in range(frames)]


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_frames_of_standard_input_become_events_one_a_line(
    cli: Command, standard_input: Callable[[str], None], shared_export: SharedExport
) -> None:
    standard_input("\n".join(lines(body="anna")))
    result = cli("live", "--model", shared_export.model, "--threshold", 0.01)
    assert result.code == 0, result.err
    start, *_, end = events_of(result.out)
    assert (start["kind"], start["body"], end["kind"]) == ("start", "anna", "end")
    assert start.keys() == {"kind", "body", "label", "probability", "began", "time"}


def test_a_line_that_is_no_frame_is_named_and_the_others_are_used(
    cli: Command, standard_input: Callable[[str], None], shared_export: SharedExport
) -> None:
    bad = ["{", "[]", '{"joints": [[1, 2, 3]]}', '{"joints": "a"}', '{"joints": [[1]], "at": 3}']
    standard_input("\n".join([*bad, *lines()]))
    result = cli("live", "--model", shared_export.model, "--threshold", 0.01)
    assert result.code == 2 and len(events_of(result.out)) >= 2
    problems = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert [re.match(r"error: line (\d+): ", line)[1] for line in problems] == ["1", "2", "3", "4", "5"]
    assert "is not JSON" in problems[0] and "the model takes (25, 3)" in problems[2] and "has 'at'" in problems[4]


def test_a_recording_is_played(cli: Command, shared_export: SharedExport, tmp_path: Path) -> None:
    WRITERS["ntu"](tmp_path, a_recording("ntu"))
    (path,) = tmp_path.glob("*.skeleton")
    flags = ["--play", path, "--speed", 0, "--threshold", 0.01, "--every", 1]
    result = cli("live", "--model", shared_export.model, *flags)
    assert result.code == 0, result.err
    assert {event["body"] for event in events_of(result.out)} <= {1, 2} and result.out
    assert "is unknown: it is played at 30 frames per second" in result.err
    known = cli("live", "--model", shared_export.model, *flags, "--source_fps", 15)
    assert "is unknown" not in known.err and events_of(known.out)[-1]["time"] > events_of(result.out)[-1]["time"]


def test_a_file_of_frames_is_played_like_standard_input(
    cli: Command, standard_input: Callable[[str], None], shared_export: SharedExport, tmp_path: Path
) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text("\n".join([*lines(body="anna"), "{"]))
    flags = ["--model", shared_export.model, "--threshold", 0.01]
    played = cli("live", *flags, "--play", path, "--speed", 0)
    standard_input(path.read_text())
    assert played.out == cli("live", *flags).out != "" and "line 61: is not JSON" in played.err
    assert "cannot be read" in cli("live", *flags, "--play", tmp_path / "none.jsonl").err
    assert "--layout is for recordings" in cli("live", *flags, "--play", path, "--layout", "coco17").err


def test_frames_of_a_file_come_at_their_times(
    cli: Command, shared_export: SharedExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(command, "time", clock)
    path = tmp_path / "frames.jsonl"
    path.write_text("\n".join(lines(61)))
    assert cli("live", "--model", shared_export.model, "--play", path, "--speed", 4).code == 0
    assert now[0] == pytest.approx(100.5)
    never = [f'{{"joints": [[1, 2, 3]], "time": {time}}}' for time in ("1e400", "-1e400", "NaN")]
    path.write_text("\n".join([*never, *lines(61), *never]))
    assert cli("live", "--model", shared_export.model, "--play", path, "--speed", 4).code == 2
    assert now[0] == pytest.approx(101.0)


@pytest.mark.parametrize(
    "flags", [("--layout", "coco17"), ("--speed", "2"), ("--format", "coco"), ("--source_fps", "9")]
)
def test_what_describes_a_recording_needs_one(
    cli: Command, shared_export: SharedExport, flags: tuple[str, str]
) -> None:
    result = cli("live", "--model", shared_export.model, *flags)
    assert result.code == 2 and f"{flags[0]} describes the recording of --play" in result.err


def test_a_recording_is_played_at_its_own_rate_times_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = [0.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(command.time, "sleep", sleep)
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    frames = list(command._at_its_rate(np.zeros((2, 4, 25, 3)), 10.0, 2.0))
    assert waited == pytest.approx([0, 0.05, 0.05, 0.05])
    assert [frame.time for _, frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert frames[0][1].body == (1, 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--every", 0], "every: 0 should be a number from 1 to 1000"),
        (["--window", 0], "window: 0.0 should be"),
        (["--play", "nothing.skeleton"], "nothing.skeleton"),
        (["--speed", -1], "--speed -1"),
    ],
)
def test_bad_input_is_one_message(cli: Command, shared_export: SharedExport, flags: list[object], message: str) -> None:
    result = cli("live", "--model", shared_export.model, *flags)
    assert result.code == 2 and message in result.err and "Traceback" not in result.err


def test_it_needs_no_torch(shared_export: SharedExport) -> None:
    words = ["live", "--model", str(shared_export.model), "--threshold", "0.01"]
    program = f"import sys\nsys.modules['torch'] = None\nfrom last.cli import main\nsys.exit(main({words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], input="\n".join(lines()), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0 and events_of(done.stdout), done.stderr
