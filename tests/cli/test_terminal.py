import io
import logging
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from patience import PATIENCE_S
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from last.cli import terminal
from last.cli.failures import report_error
from last.cli.terminal import (
    TerminalProgress,
    logging_to_terminal,
    progress,
    propose,
    remark,
    say,
    table,
    within_a_step,
)
from last.utils.errors import UserError
from last.utils.progress import SILENT

ROWS = [("drink water", 0.5), ("wave [red]", 12)]


def screen(encoding: str = "utf-8") -> Console:
    """Return a console that believes to be a terminal of 80 columns."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    return Console(file=file, force_terminal=True, width=80, highlight=False, legacy_windows=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.TextIOWrapper)
    console.file.flush()
    return console.file.buffer.getvalue().decode(console.encoding)  # type: ignore[attr-defined]


# --- what --quiet leaves out


def print_everything() -> None:
    remark("step")
    with within_a_step():
        say("part")
        propose("next after the part")
        table("parts", ("part",), [("1",)])
        say("warning of a part", always=True)
    say("result")
    propose("next")


def test_a_quiet_command_prints_its_result_and_the_warnings_of_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_terminal(quiet=True):
        print_everything()
    assert capsys.readouterr().out == "warning of a part\nresult\n"
    print_everything()  # the next one is not quiet
    assert capsys.readouterr().out == "step\npart\nparts\npart\n   1\nwarning of a part\nresult\nnext\n"


# --- tables


def test_a_table_elsewhere_than_on_a_terminal_is_aligned_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    table("Classes", ("class", "top-1"), ROWS)
    assert capsys.readouterr().out == "Classes\nclass        top-1\ndrink water    0.5\nwave [red]      12\n"


def test_a_long_cell_is_not_cut_elsewhere_than_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table("Files", ("path",), [("x" * 300,)])
    assert "x" * 300 in capsys.readouterr().out


def test_columns_of_wide_characters_are_aligned_elsewhere_than_on_a_terminal_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table("t", ("class", "clips"), [("語語語語", "1"), ("wave", "20")])
    assert [cell_len(line) for line in capsys.readouterr().out.splitlines()[1:]] == [15, 15, 15]


def test_a_table_without_rows_shows_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    table("Classes", ("class", "top-1"), [])
    assert capsys.readouterr().out == "Classes\nclass  top-1\n"


def test_a_table_on_a_terminal_is_drawn_and_reads_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    console = screen()
    monkeypatch.setattr(terminal, "console", lambda: console)
    table("Classes [bold]", ("class", "top-1"), ROWS)
    text = shown(console)
    assert "│" in text
    assert "wave [red]" in text
    assert "Classes [bold]" in text


def test_a_table_is_drawn_in_ascii_where_the_terminal_knows_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    console = screen("cp1252")
    monkeypatch.setattr(terminal, "console", lambda: console)
    table("Größen → alle", ("class", "top-1"), ROWS)
    text = shown(console)
    assert "Größen ? alle" in text
    assert "| wave [red]  |" in text


def test_an_encoding_without_a_character_does_not_end_the_program() -> None:
    code = (
        "from last.cli.output import safe_output; from last.cli.terminal import *\n"
        "with safe_output():\n"
        "    table('→', ('a',), [('✓',)])\n"
        "    p = TerminalProgress(); p.task('→', 1).advance(1, '✓'); p.finish()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [b"?", b"a", b"?"]


@pytest.mark.parametrize(
    "cells",
    [
        ("5.0", "100.0"),
        ("12", "41.67 %", "1.2345"),
        ("90.25 ± 0.35", "-", "8.00"),
        ("-6.67", "+2.00 ± 0.00", ""),
        ("1,234,567", "12"),
        ("3.1e-05", "1.2e-07"),
        ("0:31:40", "1:35:00"),
        ("3/70", "-/70"),
        ("512 clips/s", "1 clips/s"),
        (12, 0.5),
    ],
)
def test_texts_that_are_numbers_align_right_like_numbers(
    capsys: pytest.CaptureFixture[str], cells: tuple[object, ...]
) -> None:
    table("t", ("a", "x" * 20), [("-", cell) for cell in cells])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.rjust(23) for line in lines if line.strip("- ")] == [line for line in lines if line.strip("- ")]


@pytest.mark.parametrize(
    "cells", [("drink water", "12"), ("2026-11-23", "2026-11-24"), ("2.11.0", "0.1.0"), ("-", "-"), ("0, 1", "2, 3")]
)
def test_texts_that_are_no_numbers_align_left(capsys: pytest.CaptureFixture[str], cells: tuple[str, ...]) -> None:
    table("t", ("x" * 20,), [(cell,) for cell in cells])
    assert capsys.readouterr().out.splitlines()[2:] == list(cells)


def drawn_rows(columns: tuple[str, ...], cells: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a drawn table of one row without its lines."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, legacy_windows=False)
    monkeypatch.setattr(terminal, "console", lambda: console)
    table("t", columns, [cells])
    assert isinstance(console.file, io.StringIO)
    text = Text.from_ansi(console.file.getvalue()).plain
    assert max(map(cell_len, text.splitlines())) <= width
    return text


COST = ("model", "parameters", "multiply-adds, M", "inference MiB", "training MiB", "CPU ms", "threads")


@pytest.mark.parametrize("width", [79, 80, 100, 200])
def test_a_table_that_is_too_wide_breaks_no_word_and_no_number(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    row = ("large_e", "14,041,518", "7,192.6", "8.2", "364.5", "1,269.9", "12")
    text = drawn_rows(COST, row, width, monkeypatch)
    words = " ".join(COST).replace("multiply-adds,", "multiply- adds," if width < 84 else "multiply-adds,").split()
    assert not [word for word in (*words, *row) if word not in text]


DOCTOR = ("what", "which", "found", "state")
RUNS = ("run", "model", "data", "seed", "epochs", "best %", "state")
TABLES = {
    COST: ("large_e", "14,041,518", "7,192.6", "8.2", "364.5", "1,269.9", "12"),
    DOCTOR: ("environment", "output_root", "/home/somebody/last/runs, will be created, 57.5 GiB free", "missing"),
    RUNS: ("run-2026-11-26_2", "nano_e", "synthetic xsub", "0", "70/70", "100.00", "unfinished"),
    ("key", "run-2026-11-26", "run-2026-11-27"): ("model.head_dropout", "0.25", "not known"),
}


@pytest.mark.parametrize("width", range(30, 121, 5))
@pytest.mark.parametrize("columns", TABLES)
def test_at_no_width_is_a_word_or_a_number_broken(
    monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...], width: int
) -> None:
    text = drawn_rows(columns, TABLES[columns], width, monkeypatch)
    headings = [part for name in columns for part in re.split(r"[\s-]+", name)]
    cells = [part for cell in TABLES[columns] for part in re.split(r"\s+|(?<=/)(?=\D)", cell)]
    assert [word for word in (*headings, *cells) if word not in text] == []


def test_a_table_that_does_not_fit_shows_its_rows_one_below_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn_rows(DOCTOR, TABLES[DOCTOR], 40, monkeypatch)
    assert text.splitlines() == [
        "t",
        "what: environment",
        "which: output_root",
        "found: /home/somebody/last/runs, will",
        "  be created, 57.5 GiB free",
        "state: missing",
    ]


def test_a_long_path_gives_way_before_numbers_and_breaks_behind_its_slashes(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "sequence-synthetic-xsub/synthetic-xsub/nano_e-distilled/run-2026-11-26_2"
    text = drawn_rows(("run", "parameters"), (path, "14,041,518"), 50, monkeypatch)
    assert "14,041,518" in text
    assert "sequence-synthetic-xsub/ " in text
    assert "nano_e-distilled/ " in text


def test_a_name_is_cut_before_a_number_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn_rows(("name", "a", "b"), ("x" * 30, "14,041,518", "1,234,567.8"), 42, monkeypatch)
    assert "14,041,518" in text
    assert "1,234,567.8" in text


def test_a_title_is_not_broken_at_the_width_of_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    console = screen()
    monkeypatch.setattr(terminal, "console", lambda: console)
    table("nano_e on synthetic xsub, test part", ("figure",), [("12",)])
    assert "nano_e on synthetic xsub, test part" in shown(console)


def test_a_word_wider_than_the_terminal_is_cut_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn_rows(("a", "b"), ("x" * 100, "語" * 30), 40, monkeypatch)
    assert (text.count("x"), text.count("語")) == (100, 30)


# --- progress


def test_no_task_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    TerminalProgress().finish()
    TerminalProgress().advance()
    assert capsys.readouterr() == ("", "")


def test_a_task_elsewhere_than_on_a_terminal_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress().task("reading", total=4) as task:
        for _ in range(4):
            task.advance()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("reading: 4/4 clips (100%), ")
    assert lines[0].endswith(" clips/s")


def test_a_long_task_reports_its_progress_meanwhile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_SECONDS_BETWEEN_LINES", 0.0)
    with TerminalProgress().task("epoch 3", total=2, unit="batches") as task:
        task.advance(note="loss 1.25")
        task.advance()
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("epoch 3: 1/2 batches (50%), ")
    assert ", loss 1.25, " in first
    assert first.endswith(" s left")
    assert last.startswith("epoch 3: 2/2 batches (100%), ")


def test_what_was_done_before_counts_in_the_whole_and_not_in_the_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock[0])
    with TerminalProgress().task("reading", total=200, before=148) as task:
        clock[0] += 8
        task.advance(16)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "reading: 164/200 clips (82%), 2.0 clips/s, 18 s left"


def test_the_time_left_of_a_whole_run_replaces_the_tasks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_SECONDS_BETWEEN_LINES", 0.0)
    with TerminalProgress().task("epoch 3/69", total=20, in_run=True) as task:
        task.advance(5, "loss 1.250", run_left_s=3725.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" clips/s, loss 1.250, run: 1 h 02 min left")


def test_the_tasks_of_a_run_share_their_lines_elsewhere_than_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock[0])
    shower = TerminalProgress()
    for epoch in range(1000):  # of four seconds each
        with shower.task(f"epoch {epoch}", total=4, in_run=True) as task:
            for _ in range(4):
                clock[0] += 1
                task.advance()
    lines = [int(line.split(":")[0].removeprefix("epoch ")) for line in capsys.readouterr().err.splitlines()]
    assert 30 < len(lines) < 100
    apart = [later - earlier for earlier, later in pairwise(lines)]
    assert (apart[0], apart[-1] > 25) == (3, True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "60 s"), (100, "2 min"), (3569, "59 min"), (3571, "1 h 00 min"), (180_000, "50 h 00 min")],
)
def test_durations_are_reported_as_people_say_them(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


def test_a_bar_leaves_room_for_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    console = screen()
    monkeypatch.setattr(terminal, "messages", lambda: console)
    with TerminalProgress().task("epoch 12/69", total=40091, in_run=True) as task:
        task.advance(12345, "loss 1.234", run_left_s=4500.0)
        task._bar.refresh()
    text = Text.from_ansi(shown(console).split("\r")[-3]).plain
    assert "12345/40091" in text
    assert "loss 1.234, run: 1 h 15 min left" in text


def line_at(width: int, description: str, total: int, note: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the line of a task of a run, as a terminal of that width shows it."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, legacy_windows=False)
    monkeypatch.setattr(terminal, "messages", lambda: console)
    with TerminalProgress().task(description, total=total, in_run=True) as task:
        task.advance(total - 1, note, run_left_s=43500.0)
        task._bar.refresh()
        assert isinstance(console.file, io.StringIO)
        drawn = Text.from_ansi(console.file.getvalue().split("\r")[-1]).plain.rstrip()
    assert "\n" not in drawn
    assert cell_len(drawn) <= width
    return drawn


@pytest.mark.parametrize("width", range(40, 161, 4))
@pytest.mark.parametrize(
    ("description", "total"), [("epoch 12/69", 40_091), ("testing epoch 12", 50_919), ("e 1/2", 9)]
)
def test_epoch_count_and_time_left_stay_whole_at_any_width(
    monkeypatch: pytest.MonkeyPatch, width: int, description: str, total: int
) -> None:
    drawn = line_at(width, description, total, "loss 2.552", monkeypatch)
    assert drawn.startswith(f"{description} ")
    assert f" {total - 1}/{total} " in drawn
    assert "12 h 05 min" in drawn


def test_the_bar_gives_way_first_then_the_rate_then_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line_at(width, "epoch 12/69", 40_091, "loss 2.552", monkeypatch) for width in range(120, 39, -1)]
    kept = [("━" in line, "clips/s" in line, "loss 2.552" in line, "left" in line) for line in lines]
    assert list(dict.fromkeys(kept)) == [
        (True, True, True, True),
        (False, True, True, True),
        (False, False, True, True),
        (False, False, False, True),
    ] + [(False, False, False, False)] * (not kept[-1][3])


def test_a_description_is_cut_where_nothing_else_is_left_to_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line_at(30, "reading the recordings", 56_880, "", monkeypatch) == "readi… 56879/56880 12 h 05 min"


def test_a_task_that_stops_early_reports_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), TerminalProgress().task("reading", total=10) as task:
        task.advance(3)
        raise KeyboardInterrupt
    assert "reading: 3/10 clips (30%)" in capsys.readouterr().err


def test_a_task_of_nothing_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress().task("reading", total=0) as task:
        task.advance(0)
    assert not capsys.readouterr().err


def test_a_new_task_ends_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    shower = TerminalProgress()
    shower.task("one", total=1)
    shower.task("two", total=1)
    shower.finish()
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["one", "two"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_task_on_a_terminal_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    console = screen(encoding)
    monkeypatch.setattr(terminal, "messages", lambda: console)
    with TerminalProgress().task("reading [x]", total=2) as task:
        task.advance(note="top-1 50%")
        task._bar.refresh()
    text = shown(console)
    assert "reading [x]" in text
    assert "1/2" in text
    assert "top-1 50%" in text
    assert text.endswith("\x1b[2K")


def test_a_quiet_command_shows_no_progress() -> None:
    assert progress(quiet=True) is SILENT
    assert isinstance(progress(), TerminalProgress)


@pytest.mark.parametrize(("rank", "shown"), [(None, True), ("0", True), ("1", False)])
def test_of_several_processes_only_the_first_prints_what_is_not_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str | None, shown: bool
) -> None:
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with terminal.logging_to_terminal():
        logging.getLogger("last.somewhere").warning("a word")
    assert ("a word" in capsys.readouterr().err) == shown


def test_messages_elsewhere_than_on_a_terminal_are_one_line_each_of_any_length(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with terminal.logging_to_terminal():
        logging.getLogger("last.somewhere").info("[b] %s.", "word " * 100)
        logging.getLogger("last.somewhere").warning("short")
    assert capsys.readouterr().err == f"[b] {'word ' * 100}.\nwarning: short\n"


# --- foreign text

STEERING = "evil\x1b]0;title\x07\x1b[2J"


def test_whatever_way_a_foreign_text_is_shown_it_does_nothing_to_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    table(STEERING, (STEERING, "number"), [(STEERING, 1)])
    terminal.say(STEERING)
    with terminal.logging_to_terminal():
        logging.getLogger("last.data").warning("%s", STEERING)
    TerminalProgress().task(STEERING, 1).finish()
    report_error(UserError(STEERING), "last")
    report_error(RuntimeError(STEERING), "last")
    captured = capfd.readouterr()
    assert captured.out.count("evil?]0;title??[2J") == 4
    assert captured.err.count("evil?]0;title??[2J") == 4
    assert "\x1b" not in captured.out + captured.err


def test_a_drawn_table_has_no_escapes_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    console = screen()
    monkeypatch.setattr(terminal, "console", lambda: console)
    table(STEERING, (STEERING,), [(STEERING,)])
    assert not {"\x07", "\x1b]", "\x1b[2J"} & set(re.findall("\x07|\x1b]|\x1b\\[2J", shown(console)))


def test_the_commands_print_what_is_foreign_in_no_other_way() -> None:
    allowed = {"terminal.py", "failures.py", "__init__.py"}
    for path in Path(terminal.__file__).parent.glob("*.py"):
        printed = re.findall(r"(?<![\w.])print\((.{10})", path.read_text())
        assert path.name in allowed or set(printed) <= {"json.dumps"}, path
