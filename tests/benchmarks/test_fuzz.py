"""Every reader raises only its documented errors for some hundred changed inputs; the campaign reads many more."""

import json
import random
import sys
import time
from pathlib import Path

import fuzz
import fuzz_changes
import fuzz_targets
import fuzz_worker
import pytest
from fuzz_targets import TARGETS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaign limits memory and reads /proc")
INPUTS = 60  # of each reader
# A change of a checkpoint takes longest; only the campaign reads these.
QUICK = [name for name in TARGETS if name not in ("runs", "checkpoints", "recipes")]


@pytest.mark.parametrize("name", QUICK)
def test_changed_inputs_are_read_or_refused_with_a_documented_error(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    (tmp_path / "seeds").mkdir()
    seeds = target.seeds(tmp_path / "seeds")
    results = [
        fuzz_worker.read_result(target, target.made(seeds, 0, number), tmp_path / "input", seconds=20)
        for number in range(len(seeds) + INPUTS)
    ]
    assert [each["message"] for each in results if each["kind"] == "finding"] == []
    assert all(each["kind"] == "accepted" for each in results[: len(seeds)]) or name in ("arrays", "pickles", "pyskl")


def test_an_input_is_the_same_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS["ntu"]
    (tmp_path / "later").mkdir()
    seeds = target.seeds(tmp_path)
    made = [target.made(seeds, 3, number) for number in range(40)]
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)  # zip and gzip write it into their files
    assert target.seeds(tmp_path / "later") == seeds
    assert [target.made(seeds, 3, number) for number in range(40)] == made
    assert target.made(seeds, 3, 30) != target.made(seeds, 4, 30)


@pytest.mark.parametrize("change", [*fuzz_changes.BYTES, *fuzz_changes.TEXT, *fuzz_changes.JSON, *fuzz_changes.PICKLE])
@pytest.mark.parametrize("data", [b"", b"\0", b'{"a": [1, 2]}', b"a: 1\nb: 2\n"])
def test_every_change_takes_every_input(change: fuzz_changes.Change, data: bytes) -> None:
    for number in range(20):
        assert isinstance(change(random.Random(number), data), bytes)


BREAKS = {
    "error": lambda: 1 / 0,
    "memory": lambda: bytearray(1 << 50),
    "time": lambda: [0 for _ in iter(int, 1)],
}


def broken(kind: str) -> fuzz_targets.Target:
    def read(folder: Path) -> None:
        if (folder / "a").read_bytes()[:1] == b"!":
            BREAKS[kind]()

    return fuzz_targets.Target("broken", lambda _: [{"a": b"!"}], {"*": fuzz_changes.BYTES}, read)


@pytest.mark.parametrize(
    ("kind", "message"), [("error", "ZeroDivisionError"), ("memory", "MemoryError"), ("time", "more than 0.2 s")]
)
def test_an_error_that_is_not_documented_and_too_much_memory_or_time_are_findings(
    kind: str, message: str, tmp_path: Path
) -> None:
    result = fuzz_worker.read_result(broken(kind), {"a": b"!"}, tmp_path / "input", seconds=0.2)
    assert result["kind"] == "finding" and message in result["message"]
    assert fuzz_worker.read_result(broken(kind), {"a": b"."}, tmp_path / "input", seconds=0.2)["kind"] == "accepted"


def test_the_command_counts_keeps_and_repeats_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "fuzz.json"
    arguments = ["--readers", "zips,ignore_lists", "--inputs", "30", "--jobs", "1", "--out", str(tmp_path / "kept")]
    assert fuzz.main([*arguments, "--json", str(report)]) == 0
    result = json.loads(report.read_text())
    assert [row["reader"] for row in result["rows"]] == ["zips", "ignore_lists"]
    assert sum(row["inputs"] for row in result["rows"]) == 30
    assert "Changed inputs" in capsys.readouterr().out
    (tmp_path / "kept" / "zips-0-1").mkdir(parents=True)
    (tmp_path / "kept" / "zips-0-1" / "a.zip").write_bytes(b"PK")
    assert fuzz.main(["--readers", "zips", "--again", str(tmp_path / "kept" / "zips-0-1")]) == 0
    assert fuzz.main(["--readers", "zips", "--again", str(tmp_path / "nowhere")]) == 2


def test_an_unknown_reader_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fuzz.main(["--readers", "tapes"])
    assert "there is no reader 'tapes'" in capsys.readouterr().err
