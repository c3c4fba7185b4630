"""The command `runs`: what it lists, what it compares, and what it refuses."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from last.cli import terminal


def write_run(path: Path, top1: list[float], model: str = "nano_e", seed: int = 0, finished: bool = True) -> Path:
    path.mkdir(parents=True)
    config = f"epochs: 3\nseed: {seed}\nmodel: {{name: {model}}}\ndata: {{name: tiny, split: xsub}}\n"
    (path / "config.yaml").write_text(config)
    rows = [{"epoch": n, "train_loss": 1.0, "test_top1": value, "seconds": 1900.0} for n, value in enumerate(top1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if finished:
        (path / "summary.json").write_text(json.dumps({"best_top1": max(top1), "final_top1": top1[-1]}))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an output root with two finished seeds, an unfinished run and a damaged one."""
    write_run(tmp_path / "runs" / "run-2026-11-23", [40.0, 62.5, 60.0])
    write_run(tmp_path / "runs" / "run-2026-11-23_2", [40.0, 62.5, 64.0], seed=1)
    write_run(tmp_path / "runs" / "run-2026-11-24", [30.0], model="base_e", finished=False)
    (tmp_path / "runs" / "run-2026-11-22").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def runs(cli: Callable, root: Path) -> Callable:
    """Return a function that runs `last runs --output_root ROOT <arguments>`."""
    return lambda *arguments: cli("runs", "--output_root", root, *arguments)


def line_of(text: str, start: str) -> str:
    return next(re.sub(r"\s+", " ", line) for line in text.splitlines() if line.startswith(f"{start} "))


# --- list


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_runs_are_listed_newest_first_with_their_results(runs: Callable, arguments: list[str]) -> None:
    result = runs(*arguments)
    assert (result.code, result.err) == (0, "")
    assert re.findall(r"^run-\S+", result.out, re.MULTILINE) == [
        "run-2026-11-24",
        "run-2026-11-23_2",
        "run-2026-11-23",
        "run-2026-11-22",
    ]
    assert line_of(result.out, "run-2026-11-23") == (
        "run-2026-11-23 nano_e tiny xsub 0 3/3 62.50 60.00 1:35:00 finished"
    )
    assert line_of(result.out, "run-2026-11-24").endswith("1/3 30.00 30.00 0:31:40 unfinished")


def test_a_damaged_run_is_listed_with_its_damage(runs: Callable) -> None:
    result = runs()
    assert line_of(result.out, "run-2026-11-22") == "run-2026-11-22 - - - -/- - - - unfinished"
    assert "config.yaml: No such file" in result.out.partition("Incomplete runs:")[2]


def test_the_day_is_shown_where_a_name_does_not_tell_it(runs: Callable, root: Path) -> None:
    assert "date" not in runs().out
    (root / "run-2026-11-23").rename(root / "baseline")
    assert " date " in runs().out


@pytest.mark.parametrize("arguments", [["--model", "base_e"], ["list", "--model", "base_e"]])
def test_runs_are_listed_by_model(runs: Callable, arguments: list[str]) -> None:
    assert re.findall(r"^run-\S+", runs(*arguments).out, re.MULTILINE) == ["run-2026-11-24"]


def test_a_model_without_runs_is_refused_with_the_existing_models(runs: Callable) -> None:
    result = runs("--model", "nano")
    assert (result.code, "There are models: base_e, nano_e." in result.out) == (0, True)


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "list"], ["list", "--json"]])
def test_the_list_is_printed_as_json(runs: Callable, arguments: list[str]) -> None:
    listed = json.loads(runs(*arguments).out)
    assert [each["final_top1"] for each in listed] == [30, 64, 60, None]
    assert listed[0]["status"] == "unfinished"


@pytest.fixture
def sequence(root: Path) -> str:
    """Return the name of a distilled run in a sequence, whose teacher is in the same folder."""
    folder = root / "sequence-tiny-xsub"
    teacher = write_run(folder / "tiny-xsub" / "base-teacher" / "run-2026-11-25", [60.0], model="base")
    student = write_run(folder / "tiny-xsub" / "nano_e-distilled" / "run-2026-11-26", [50.0])
    with (student / "config.yaml").open("a") as file:
        file.write(f"distillation: {{teachers: ['{teacher / 'checkpoints' / 'last.pth'}']}}\n")
    (folder / "sequence.json").write_text("{}")
    return student.relative_to(root).as_posix()


def test_runs_of_a_sequence_are_listed_and_distilled_ones_marked(runs: Callable, sequence: str) -> None:
    result = runs()
    assert result.out.startswith("6 runs, ")
    assert line_of(result.out, sequence).startswith(f"{sequence} nano_e tiny xsub base 0 1/3 50.00")
    assert line_of(result.out, "run-2026-11-23").startswith("run-2026-11-23 nano_e tiny xsub - 0 3/3")


def test_streams_switches_and_peers_are_told(runs: Callable, root: Path) -> None:
    other = write_run(root / "run-2026-11-25", [50.0])
    text = (other / "config.yaml").read_text().replace("nano_e}", "nano_e, streams: [bone], joint_embedding: true}")
    (other / "config.yaml").write_text(f"{text}distillation: {{peers: 2}}\n")
    result = runs()
    assert "run-2026-11-25 nano_e of bone, joint_embedding tiny xsub 2 peers 0" in line_of(result.out, "run-2026-11-25")
    compared = runs("compare", "run-2026-11-25", "run-2026-11-23", "--out", root / "compared")
    assert line_of(compared.out, "run-2026-11-23").startswith("run-2026-11-23 nano_e "), "the models differ"
    facts = {"model": "nano_e", "model_title": "nano_e of bone, joint_embedding", "peers": 2}
    listed = next(each for each in json.loads(runs("--json").out) if each["run"] == "run-2026-11-25")
    assert {key: listed[key] for key in facts} == facts
    with (root / "compared" / "runs.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert {key: first[key] for key in facts} == {key: str(value) for key, value in facts.items()}
    assert (second["model_title"], second["peers"]) == ("nano_e", "0")


def test_without_a_distilled_run_there_is_no_column_of_teachers(runs: Callable) -> None:
    assert " teacher " not in runs().out


def test_runs_of_a_sequence_are_compared_by_their_names(runs: Callable, sequence: str) -> None:
    result = runs("compare", sequence, "run-2026-11-23")
    assert (result.code, result.err) == (0, "")
    assert line_of(result.out, sequence).startswith(f"{sequence} base 0 1/3 50.00")


def test_a_run_of_a_sequence_does_not_push_results_off_a_narrow_terminal(
    runs: Callable, sequence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False, legacy_windows=False)
    monkeypatch.setattr(terminal, "console", lambda: screen)
    runs()
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert [name for name in ("best", "final", "epochs", "50.00", "nano_e-distilled/") if name not in text] == []


def test_no_run_yet_is_no_error(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("runs", "--env", "local")
    assert (result.code, result.out.startswith("There is no run in runs yet.")) == (0, True)


def test_an_output_root_that_is_named_has_to_be_there(cli: Callable, tmp_path: Path) -> None:
    result = cli("runs", "--output_root", tmp_path / "nowhere")
    assert (result.code, "There is no folder" in result.err) == (2, True)


def test_a_narrow_terminal_gets_fewer_columns_and_a_note(
    runs: Callable, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False, legacy_windows=False)
    monkeypatch.setattr(terminal, "console", lambda: screen)
    result = runs()
    assert "│ run-2026-11-23_2 │ nano_e │ tiny xsub │" in screen.file.getvalue()  # type: ignore[attr-defined]
    assert "A wider terminal shows also: time, state." in result.out


def test_where_no_table_fits_all_of_a_run_is_shown(runs: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=50, highlight=False, legacy_windows=False)
    monkeypatch.setattr(terminal, "console", lambda: screen)
    result = runs()
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "run: run-2026-11-23_2\nmodel: nano_e\ndata: tiny xsub\n" in text
    assert "state: unfinished\n" in text
    assert "A wider terminal" not in result.out


# --- compare


def test_compared_runs_are_shown_with_what_differs_and_how_seeds_spread(runs: Callable, root: Path) -> None:
    result = runs("compare", "run-2026-11-23", "run-2026-11-23_2", root / "run-2026-11-24")
    assert (result.code, result.err) == (0, "")
    results, _, rest = result.out.partition("What differs in the configuration")
    assert results.startswith("tiny xsub; ")
    assert line_of(results, "run-2026-11-23_2").startswith("run-2026-11-23_2 nano_e 1 3/3 64.00")
    assert line_of(rest, "run-2026-11-24") == "run-2026-11-24 base_e 0"
    assert line_of(rest, "nano_e") == (
        "nano_e on tiny xsub 0, 1 63.25 ± 1.06 62.00 ± 2.83 run-2026-11-23, run-2026-11-23_2"
    )


def test_a_comparison_leaves_a_table_and_a_plot_and_says_where(
    runs: Callable, tmp_path: Path, coarse_pictures: None
) -> None:
    result = runs("compare", "run-2026-11-23", "run-2026-11-24", "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curves.png", "runs.csv"]
    assert f"The plot is in {tmp_path / 'out' / 'curves.png'}" in result.out


def test_a_comparison_goes_under_the_output_root_and_is_not_listed_as_a_run(runs: Callable, root: Path) -> None:
    runs("compare", "run-2026-11-23", "run-2026-11-24")
    assert (root / "comparison" / "runs.csv").exists()
    assert not re.search(r"^comparison", runs().out, re.MULTILINE)


def test_without_matplotlib_the_tables_come_and_one_line_names_the_extra(
    runs: Callable, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = runs("compare", "run-2026-11-23", "run-2026-11-24")
    assert (result.code, len(result.err.splitlines())) == (0, 1)
    assert "last-har[plots]" in result.err
    assert "model.name" in result.out
    assert not (root / "comparison" / "curves.png").exists()


def test_damaged_runs_are_compared_by_their_readable_parts(runs: Callable, root: Path) -> None:
    (root / "run-2026-11-21").mkdir()
    result = runs("compare", "run-2026-11-22", "run-2026-11-21")
    assert result.code == 0
    assert "There are no two configurations to compare." in result.out
    assert "None of the runs has an epoch yet" in result.err


def test_equal_configurations_are_called_equal(runs: Callable, root: Path) -> None:
    write_run(root / "again", [1.0])
    assert "The configurations are identical." in runs("compare", "again", "run-2026-11-23").out


def test_the_latest_run_is_compared_by_that_name(runs: Callable, root: Path) -> None:
    write_run(root / "run-2026-11-30", [1.0])
    (root / "run-2026-11-30" / "checkpoints").mkdir()
    result = runs("compare", "latest", "run-2026-11-23")
    assert result.code == 0, result.err
    assert "run-2026-11-30" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "run-2026-11-23", "run-2026-11-25"], "'run-2026-11-25' is no run under"),
        (["compare", "run-2026-11-23"], "Name two runs or more"),
        (["compare"], "required: RUN"),
        (["compare", "run-2026-11-23", "run-2026-11-23"], "named twice"),
        (["compar", "a", "b"], "invalid choice: 'compar'"),
        (["--json", "compare", "run-2026-11-23", "run-2026-11-24"], "--json goes with `runs list`"),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(
    runs: Callable, root: Path, arguments: list[str], message: str
) -> None:
    result = runs(*arguments)
    assert (result.code, message in result.err) == (2, True), result.err
    assert not (root / "comparison").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"]])
def test_help_shows_examples(cli: Callable, arguments: list[str]) -> None:
    result = cli("runs", *arguments)
    assert (result.code, "examples:\n  python -m last runs" in result.out) == (0, True)


def test_where_there_is_no_run_those_of_the_input_folders_are_counted(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAST_KAGGLE", str(tmp_path))
    write_run(tmp_path / "input" / "before" / "run-2026-11-23", [40.0])
    (tmp_path / "working").mkdir()
    result = cli("runs")
    assert (
        f"In the input folders there are 1, such as {tmp_path / 'input' / 'before' / 'run-2026-11-23'}." in result.out
    )


def test_few_runs_of_which_much_differs_are_compared_key_by_key(cli: Callable, root: Path) -> None:
    write_run(root / "run-2026-11-25", [30.0], model="base_e", seed=7)
    result = cli("runs", "compare", "run-2026-11-23", "run-2026-11-25", "--output_root", root)
    assert re.search(r"seed +0 +7", result.out)
