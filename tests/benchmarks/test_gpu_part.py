"""What a GPU has to show: the checks run anywhere in tiny sizes, one failure does not lose the rest, and runs go on."""

import json
import re
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from last.benchmarks import gpu, gpu_accuracy, gpu_correctness, gpu_plan, gpu_speed
from last.benchmarks.gpu_plan import Check, Findings, NotHere, Records, Setting, run_checks
from last.runtime.stop_requests import Stop
from last.utils.errors import Terminated, UserError
from last.utils.progress import SILENT

REPOSITORY = Path(__file__).parents[2]
PARTS = ("correctness", "speed", "accuracy")
Cli = Callable[..., Any]


def run_part(cli: Cli, part: str, folder: Path, *options: object, code: int = 0) -> dict[str, Any]:
    """Run a part in tiny sizes on the CPU and return its checks by name."""
    results = folder / "gpu.json"
    given = ("--part", part, "--device", "cpu", "--quick", "--threads", 1, "--results", results, "--quiet")
    result = cli("benchmark", "gpu", *given, *options)
    assert result.code == code, result.err
    found: dict[str, Any] = json.loads(results.read_text())["checks"]
    return found


@pytest.mark.long
def test_correctness_holds_on_a_cpu_in_tiny_sizes(cli: Cli, tmp_path: Path) -> None:
    found = run_part(cli, "correctness", tmp_path)
    assert list(found) == [check.name for check in gpu.checks_of("correctness")]
    states = {each["state"] for each in found.values()}
    assert states == {"holds", "skipped"}, found


@pytest.mark.long
def test_speed_is_measured_on_a_cpu_in_tiny_sizes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("step of nano_e", "seventy epochs of nano_e", "step in float32, and TF32", "overhead of guards")
    monkeypatch.setattr(gpu_speed, "CHECKS", [each for each in gpu_speed.CHECKS if each.name in names])
    found = run_part(cli, "speed", tmp_path)
    assert {name: each["state"] for name, each in found.items()} == {
        **dict.fromkeys(names, "measured"),
        "step in float32, and TF32": "skipped",
    }
    assert found["step of nano_e"]["figures"]["as by default"]["wall_ms"] > 0
    assert found["seventy epochs of nano_e"]["figures"]["seconds_of_70_epochs"] > 0


def test_accuracy_generates_the_synthetic_set_and_says_what_it_needs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [gpu_accuracy.CHECKS[0], *gpu_accuracy.CHECKS[3:]]
    monkeypatch.setattr(gpu_accuracy, "CHECKS", chosen)
    first, *others = run_part(cli, "accuracy", tmp_path, "--work", tmp_path / "work").values()
    assert first["state"] == "measured" and "final_top1" in first["figures"]
    assert {each["line"] for each in others} == {"needs NW-UCLA: name the folder of prepared data with --data_root"}


def test_a_folder_without_the_data_set_is_named(tmp_path: Path) -> None:
    arguments = Namespace(quick=True, data_root=tmp_path, seed=0)
    setting = Setting(torch.device("cpu"), arguments, tmp_path, SILENT, time.monotonic() + 60)
    with pytest.raises(NotHere, match="nw_ucla"):
        gpu_accuracy.on_nw_ucla(setting, "nano_e", ())


def test_a_part_has_to_be_chosen(cli: Cli) -> None:
    result = cli("benchmark", "gpu", "--device", "cpu")
    assert result.code == 2
    assert "--part correctness, speed or accuracy" in result.err


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    arguments = Namespace(quick=False, seed=0)
    return Setting(torch.device("cpu"), arguments, tmp_path, SILENT, time.monotonic() + 1000)


def records_of(setting: Setting, **options: Any) -> Records:
    return Records(setting.work / "found.json", {"device": "cpu"}, **{"again": False, **options})


def failing(_: Setting) -> Findings:
    raise ValueError("this one is broken\nand says more")


def absent(_: Setting) -> Findings:
    raise NotHere("no such data")


SOUND = Check("sound", 1, lambda _: Findings("fine", True, {"figure": 1}))
CHECKS = [
    Check("broken", 1, failing),
    SOUND,
    Check("wrong", 1, lambda _: Findings("not equal", False)),
    Check("absent", 1, absent),
    Check("long", 5000, lambda _: Findings("never")),
]


def test_one_failure_does_not_lose_the_rest_and_every_result_is_written(setting: Setting) -> None:
    assert run_checks(CHECKS, records_of(setting), setting)
    written = json.loads((setting.work / "found.json").read_text())["checks"]
    assert {name: each["state"] for name, each in written.items()} == {
        "broken": "error",
        "sound": "holds",
        "wrong": "fails",
        "absent": "skipped",
        "long": "no time",
    }
    assert written["broken"]["line"] == "ValueError: this one is broken"
    assert written["sound"]["figures"] == {"figure": 1}


def test_the_same_command_goes_on_with_what_has_no_result(setting: Setting) -> None:
    run_checks(CHECKS[:2], records_of(setting), setting)
    seen: list[str] = []

    def counting(name: str) -> Check:
        return Check(name, 1, lambda _: seen.append(name) or Findings("again"))

    names = [check.name for check in CHECKS]
    run_checks([counting(name) for name in names], records_of(setting), setting)
    assert seen == names[2:]
    run_checks([counting("sound")], records_of(setting, again=True), setting)
    assert seen == [*names[2:], "sound"]


def test_results_of_something_else_are_refused(setting: Setting) -> None:
    run_checks([SOUND], records_of(setting), setting)
    with pytest.raises(UserError, match="another part, machine, source or size"):
        Records(setting.work / "found.json", {"device": "another"}, again=False)
    for other in ("[]", '{"checks": {"sound": 3}}', '{"checks": {"sound": {}}}'):
        (setting.work / "found.json").write_text(other)
        with pytest.raises(UserError, match="not a file of this command"):
            records_of(setting)


def test_a_file_of_results_that_cannot_be_written_is_refused_before_the_first_check(setting: Setting) -> None:
    (setting.work / "a file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        Records(setting.work / "a file" / "found.json", {}, again=False)


@pytest.mark.long
@pytest.mark.parametrize(("stop", "ends"), [(Stop.INTERRUPT, KeyboardInterrupt), (Stop.TERMINATE, Terminated)])
def test_a_signal_during_a_training_ends_the_command_and_is_no_result(
    stop: Stop, ends: type[BaseException], setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = SimpleNamespace(stopped=stop, run=SimpleNamespace(path=setting.work), summary={})
    for module in (gpu_accuracy, gpu_correctness):
        monkeypatch.setattr(module, "train", lambda *_, **__: stopped)
    names = ("synthetic set, nano_e in float32", "exact resume", "class balance and weighted losses")
    for check in (each for part in PARTS for each in gpu.checks_of(part) if each.name in names):
        records = records_of(setting)
        with pytest.raises(ends):
            run_checks([check, SOUND], records, setting)
        assert not records.checks


def test_a_device_that_cannot_go_on_ends_the_process_of_the_checks_but_not_their_results(setting: Setting) -> None:
    def fault(_: Setting) -> Findings:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def full(_: Setting) -> Findings:
        raise torch.OutOfMemoryError("CUDA out of memory")

    records = records_of(setting)
    assert not run_checks([Check("full", 1, full), Check("fault", 1, fault), SOUND], records, setting)
    assert {name: each["state"] for name, each in records.checks.items()} == {"full": "error", "fault": "error"}
    assert run_checks([Check("fault", 1, fault), SOUND], records_of(setting), setting)


def test_the_rest_is_checked_in_a_new_process_for_the_rest_of_the_time(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def ran(command: list[str], **_: object) -> None:
        commands.append(command)
        raise subprocess.TimeoutExpired(command, 1)  # a check that has begun outlasts the minutes

    def fault(_: Setting) -> Findings:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(gpu, "checks_of", lambda _: [Check("fault", 1, fault), SOUND])
    monkeypatch.setattr(gpu, "subprocess", SimpleNamespace(run=ran, TimeoutExpired=subprocess.TimeoutExpired))
    assert list(run_part(cli, "correctness", tmp_path, "--minutes", 5, code=1)) == ["fault"]
    (command,) = commands
    assert command[1:5] == ["-m", "last", "benchmark", "gpu"]
    options = dict(zip(command[5::2], command[6::2], strict=False))
    assert options["--part"] == "correctness" and options["--minutes"] == "4"
    assert options["--results"] == str(tmp_path / "gpu.json")
    assert command[-2:] == ["--quick", "--quiet"] and "--again" not in command


def test_a_wrong_result_of_correctness_ends_with_an_exit_code(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "checks_of", lambda _: CHECKS[:3])
    found = run_part(cli, "correctness", tmp_path, code=1)
    assert found["wrong"]["state"] == "fails"
    assert run_part(cli, "speed", tmp_path, "--again")["wrong"]["state"] == "fails"


def test_checks_fit_a_machine_that_is_slower_than_expected(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 4))
    monkeypatch.setattr(gpu_plan.time, "monotonic", lambda: float(next(now)))
    setting = Setting(setting.device, setting.arguments, setting.work, SILENT, ends_at=60.0)
    records = records_of(setting)
    run_checks([Check("slow", 1, lambda _: Findings("done")), Check("next", 15, failing)], records, setting)
    assert records.checks["slow"]["state"] == "measured"
    assert records.checks["next"]["state"] == "no time"


def test_tiny_sizes_are_expected_to_take_less_time_than_those_of_a_gpu(setting: Setting) -> None:
    short = Setting(setting.device, Namespace(quick=True, seed=0), setting.work, SILENT, time.monotonic() + 60)
    run_checks([Check("training", 400, lambda _: Findings("done"))], records := records_of(short), short)
    assert records.checks["training"]["state"] == "measured"


@pytest.mark.parametrize("part", PARTS)
def test_every_check_is_a_row_of_the_document(part: str) -> None:
    text = (REPOSITORY / "docs" / "gpu-todo.md").read_text(encoding="utf-8")
    section = text.partition(f"## {part.capitalize()}")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE)[1:]
    assert rows == [check.name for check in gpu.checks_of(part)]
