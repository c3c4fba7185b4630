import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from last.cli import doctor
from last.cli.failures import REQUIRED
from last.data.store.clip import Clip
from last.data.store.reader import write_store
from last.runs.folder import RunFolder
from last.utils.extras import EXTRAS
from last.utils.root_folders import RootFolders
from last.utils.versions import PACKAGES


@pytest.fixture
def report(cli, tmp_path: Path):
    """Return a function that runs `last doctor --json` on an empty place and returns exit code and report."""

    def run(*arguments: object):
        places = ["--data_root", tmp_path / "data", "--output_root", tmp_path / "runs"]
        result = cli("doctor", "--json", *places, *arguments)
        return result.code, json.loads(result.out)

    return run


def found(report: dict, topic: str) -> dict[str, tuple[str, str]]:
    return {item["subject"]: (item["found"], item["state"]) for item in report["findings"] if item["topic"] == topic}


def prepared(folder: Path, clips: int = 1) -> None:
    """Write a store whose data set is called as its folder."""
    joints, valid = np.ones((1, 2, 25, 3), np.float32), np.ones((1, 2), np.bool_)
    content = [Clip(str(number), joints, valid, 0, subject=1, camera=1, setup=1) for number in range(clips)]
    write_store(folder, content, name=folder.name, layout="ntu25", classes=["a"])


def test_a_sound_installation_is_exit_code_0(report) -> None:
    code, result = report()
    assert (code, result["ok"]) == (0, True)
    assert {"last", "python", "torch", "numpy", "pydantic", "rich"} <= set(found(result, "version"))
    assert ", 1 thread, " in found(result, "device")["cpu"][0]


def test_a_processor_that_is_slow_at_bf16_is_named_with_what_amp_does_there(monkeypatch, report) -> None:
    monkeypatch.setattr("last.runtime.precision.bf16_is_slow", lambda _: True)
    assert "slow bf16: --amp computes in float32" in str(report())


def test_the_table_names_what_the_json_names(cli, report) -> None:
    text = cli("doctor").out
    assert all(item["subject"] in text for item in report()[1]["findings"])
    assert "Next:" in text


def test_a_new_user_is_referred_to_the_demo(report) -> None:
    assert any("last demo" in step for step in report()[1]["next"])


def test_prepared_data_sets_are_found_and_training_is_proposed(report, tmp_path: Path) -> None:
    for folder in ("data/nw_ucla", "data/my-input/ntu60"):
        prepared(tmp_path / folder, clips=7)
    _, result = report()
    stores = found(result, "data")
    assert set(stores) == {"nw_ucla", "ntu60"}
    assert stores["nw_ucla"][0].endswith("nw_ucla, 7 clips")
    assert any(step.endswith("--dataset nw_ucla") for step in result["next"])  # the nearest one


def test_a_data_set_of_ones_own_is_proposed_by_its_yaml(report, tmp_path: Path) -> None:
    prepared(tmp_path / "data" / "mine")
    assert any(step.endswith("--dataset YAML") for step in report()[1]["next"])


@pytest.mark.parametrize(
    ("header", "message"),
    [("{", "not valid JSON"), ("{}", "is not of a store of LAST"), ('{"format_version": 1}', "'name'")],
)
def test_a_damaged_store_is_reported_and_not_proposed(report, tmp_path: Path, header: str, message: str) -> None:
    (tmp_path / "data" / "sbu").mkdir(parents=True)
    (tmp_path / "data" / "sbu" / "store.json").write_text(header)
    _, result = report()
    assert message in found(result, "data")["sbu"][0]
    assert found(result, "data")["sbu"][1] == "missing"
    assert not any("last train" in step for step in result["next"])


def test_what_is_proposed_repeats_the_places_that_were_named(cli, tmp_path: Path) -> None:
    places = ["--env", "local", "--data_root", tmp_path / "my data", "--output_root", tmp_path / "runs"]
    named = f'--env local --data_root "{tmp_path / "my data"}"'
    steps = json.loads(cli("doctor", "--json", *places).out)["next"]
    assert any(f"preprocess {named} --dataset" in step for step in steps)
    prepared(tmp_path / "my data" / "synthetic")
    steps = json.loads(cli("doctor", "--json", *places).out)["next"]
    assert any(f"train {named} --output_root {tmp_path / 'runs'} --model" in step for step in steps)


def test_the_newest_run_of_an_earlier_session_that_has_not_ended_is_proposed_for_resuming(
    report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached = [RunFolder(tmp_path / "input" / f"run-2026-11-{day}") for day in (21, 23, 22, 24)]
    for run in attached:
        run.checkpoints.mkdir(parents=True)
        run.config.write_text("model: {name: nano_e}\ndata: {name: synthetic}\n")
    attached[-1].summary.write_text("{}")
    here = RootFolders("local", tmp_path / "data", tmp_path / "runs", (tmp_path / "input",))
    monkeypatch.setattr(doctor, "root_folders_of", lambda _: here)
    (step,) = [step for step in report()[1]["next"] if "--resume" in step]
    assert step.startswith("resume run-2026-11-23: python -m last train ")
    assert f"--resume {attached[1].path} (or " in step
    assert step.endswith("with --resume auto)")


@pytest.mark.parametrize("root", ["data_root", "output_root"])
def test_a_file_in_the_place_of_a_folder_is_reported_as_one(report, tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_text("")
    _, result = report(f"--{root}", tmp_path / "file")
    assert found(result, "environment")[root][0].endswith("is a file")
    assert any(step.endswith(f"--{root} DIR") for step in result["next"])
    assert not any(str(tmp_path / "file") in step for step in result["next"])


def test_a_place_for_runs_that_cannot_be_written_is_broken(report, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file is in the way")
    code, result = report()
    assert (code, result["ok"]) == (1, False)
    assert found(result, "environment")["output_root"][1] == "broken"
    assert any("--output_root" in step for step in result["next"])


def test_a_torch_that_cannot_be_imported_is_broken(report, replace_package) -> None:
    replace_package("torch", 'raise ImportError("no libtorch.so")')
    code, result = report()
    assert code == 1
    assert found(result, "device")["torch"][1] == "broken"


def test_without_torch_nothing_is_broken_and_its_extra_is_named(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, result = report()
    assert code == 0
    assert found(result, "device")["cpu"][0].endswith("training needs torch")
    assert any(step.endswith("pip install 'last-har[train]'") for step in result["next"])


@pytest.mark.parametrize(
    ("installed", "command"), [("", "pip install last-har"), ("2.4.6", "pip install --force-reinstall torch")]
)
def test_what_is_broken_is_installed_by_a_command_that_needs_no_checkout(
    report, replace_package, monkeypatch: pytest.MonkeyPatch, installed: str, command: str
) -> None:
    replace_package("torch", 'raise ImportError("no libtorch.so")')
    monkeypatch.setattr(doctor, "versions", lambda: {"last": "0.2.0", "numpy": installed})
    assert report()[1]["next"][0] == f"reinstall the broken packages above: {sys.executable} -m {command}"


@pytest.mark.parametrize("module", REQUIRED)
def test_any_package_that_last_needs_is_broken_where_it_is_missing(
    report, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == module else name)
    monkeypatch.setattr(doctor, "versions", lambda: {each: "" for each in PACKAGES if each == module})
    code, result = report()
    assert (code, found(result, "version")[module]) == (1, ("not installed", "broken"))


def test_the_next_steps_name_the_program_as_it_was_called(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/last-har"])
    assert "see everything work on synthetic data: last-har demo" in report()[1]["next"]


def test_a_missing_extra_is_reported_with_its_purpose_and_how_to_get_it(
    report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    code, result = report()
    assert code == 0
    assert found(result, "extra")["plots"][0].startswith("no PIL, needed for training curves")
    assert found(result, "extra")["tensorboard"][1] == "ok"
    assert any("pip install 'last-har[plots]'" in step for step in result["next"])


def test_an_extra_that_cannot_be_imported_is_unusable_with_its_reason_and_no_failure(report, replace_package) -> None:
    replace_package("matplotlib", 'raise ImportError("built for another numpy")')
    code, result = report()
    assert code == 0
    message, state = found(result, "extra")["plots"]
    assert message.startswith("matplotlib cannot be imported (ImportError: built for another numpy), needed for")
    assert state == "unusable"
    assert any(step.endswith("pip install --force-reinstall matplotlib") for step in result["next"])


def test_numba_that_is_switched_off_is_unusable(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", 1)
    _, result = report()
    assert found(result, "extra")["fast"] == ("numba compiles nothing: NUMBA_DISABLE_JIT is set", "unusable")
    assert any(step.endswith("unset NUMBA_DISABLE_JIT") for step in result["next"])


def test_the_environment_is_the_one_that_training_would_take(cli) -> None:
    result = json.loads(cli("doctor", "--json", "--env", "lambda").out)
    assert found(result, "environment")["name"][0] == "lambda"
    assert found(result, "environment")["output_root"][0].startswith("/lambda/nfs/research-last/LAST-runs")


def test_an_unknown_environment_is_refused(cli) -> None:
    result = cli("doctor", "--env", "lamda")
    assert result.code == 2
    assert "Did you mean 'lambda'?" in result.err


def test_looking_changes_nothing(report, tmp_path: Path) -> None:
    report()
    assert not any(tmp_path.iterdir())


def test_every_extra_for_users_has_a_line() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"]) - {"all", "docs", "dev"}
    assert extras == {*EXTRAS} == {*doctor._PURPOSES}
