"""The ledger: what a template takes from records, and that a typed figure does not pass for a measured one."""

from pathlib import Path
from typing import Any

import pytest

from last.benchmarks import ledger
from last.benchmarks.ledger import given, rendered, untraced, without_marks
from last.runs.records import Record

BY_HAND = "*Not traced: measured by hand on 2026-11-23.*"
SETTINGS = "<!-- Not measured: settings. -->"


def record(seed: int, top1: float, **changes: Any) -> Record:
    content = {
        "kind": "training",
        "model": "nano_e",
        "dataset": "tiny",
        "split": "xsub",
        "seed": seed,
        "config": {"amp": True, "data.augment.scale": 0.1, "batch_size": 8},
        "final": {"top1": top1},
        "best": {"top1": top1 + 1},
        "parameters": 87508,
        "train_seconds": 90.0 + 60 * seed,
        "finished": "2026-11-27 22:10:00",
        "commit": "0123456789abcdef",
        "machine": {"cpu": "AMD EPYC", "cores": 2},
        "epochs": {"columns": ["epoch", "train_top1"], "rows": [[0, 50.0], [1, top1 + 5]]},
    }
    return Record(f"run-{seed}", content | changes)


ROBUSTNESS = {
    "kind": "measurement",
    "name": "robustness",
    "facts": {"dataset": "tiny", "split": "xsub", "subset": "test"},
    "figures": {"top1": 71.25, "curve.0": 50},
    "command": "last evaluate",
}
RECORDS = [
    *(record(1, 93.75), record(0, 92.89), record(0, 50.0, split="view1to2")),
    Record("robustness-1", ROBUSTNESS),
]


def made(expression: str) -> str:
    found = "{% set found = runs('nano_e', 'tiny', 'xsub', amp=true, data__augment__scale=0.1) %}\n"
    return rendered(f"{found}{{{{ {expression} }}}}", RECORDS)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("found.count", "2"),
        ("found.seeds", "0, 1"),
        ("found.metric('top1')", "92.89, 93.75"),
        ("found.metric('top1', 'best')", "93.89, 94.75"),
        ("found.spread('top1')", "93.32 ± 0.61"),
        ("found.last('train_top1')", "97.89, 98.75"),
        ("found.value('parameters')", "87,508"),
        ("found.each('parameters', 'd')", "87508, 87508"),
        ("found.value('batch_size')", "8"),
        ("found.value('data.augment.scale', 'g')", "0.1"),
        ("found.value('machine.cpu')", "AMD EPYC"),
        ("found.minutes", "2, 2"),
        ("found.dates", "2026-11-27"),
        ("found.commits", "`0123456789ab`"),
        ("found.files", "`run-0`, `run-1`"),
        ("looks('tiny', 'xsub')", "3"),
        ("measured('robustness').figure('top1')", "71.25"),
        ("measured('robustness').figure('curve.0', '.0f')", "50"),
        ("measured('robustness').value('command')", "last evaluate"),
        ("looks('tiny', 'xview')", "0"),
        ("given('1 and 2')", "1 and 2"),
    ],
)
def test_a_template_takes_figures_from_the_records_of_a_configuration(expression: str, text: str) -> None:
    assert without_marks(made(expression)) == text
    assert list(untraced(made(expression))) == []


def test_tests_of_measurements_count_and_records_that_name_no_part_are_counted_apart() -> None:
    silent = Record("silent", {**ROBUSTNESS, "name": "sweep", "facts": {}})
    screened = Record("screened", {**silent.content, "tested": {"tiny:xsub": 6, "tiny:xview": 1}})
    trained = Record("trained", {**ROBUSTNESS, "facts": {**ROBUSTNESS["facts"], "subset": "train"}})
    template = "{{ looks('tiny', 'xsub') }}, {{ looks('tiny', 'xview') }}, {{ unstated() }}"
    assert without_marks(rendered(template, RECORDS)) == "3, 0, 0"
    assert without_marks(rendered(template, [*RECORDS, silent, screened, trained])) == "9, 1, 1"


def test_what_comes_from_records_is_traced_and_what_is_typed_is_not() -> None:
    template = "{% set found = runs('nano_e', 'tiny', 'xsub') %}\nWe reach {{ found.spread('top1') }}, others 96.5.\n"
    assert list(untraced(rendered(template, RECORDS))) == [(1, "96.5.")]


@pytest.mark.parametrize("literal", ["{{ 93.32 }}", "{{ '93.32' }}", "{{ 90 + 3 }}", "93"])
def test_a_number_that_a_template_writes_itself_is_not_traced(literal: str) -> None:
    assert len(list(untraced(rendered(literal, RECORDS)))) == 1


@pytest.mark.parametrize("value", ["93.32", "93 %", "93.3 ± 0.4", "5%", "95.6", 95.6, "about 50.0", "100.0"])
def test_a_result_cannot_be_declared_as_given(value: object) -> None:
    with pytest.raises(ValueError, match="looks like a result"):
        given(value)


def test_an_accuracy_of_others_is_given_with_its_source_and_other_numbers_without() -> None:
    assert given("96.1", "SkelFormer") == "96.1"
    assert [given(each) for each in (95, 0.4, "4.9M", "100", "2 of 49.5")] == ["95", "0.4", "4.9M", "100", "2 of 49.5"]
    with pytest.raises(ValueError, match="looks like a result"):
        given("96.1", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'nano_e', 'tiny', 'xsub', amp=false", "There is no record of nano_e on tiny xsub with {'amp': False}"),
        ("'base', 'tiny', 'xsub'", "There is no record of base"),
    ],
)
def test_records_that_are_missing_are_an_error_and_not_an_empty_cell(arguments: str, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        rendered("{{ runs(" + arguments + ").seeds }}", RECORDS)


def test_a_template_can_leave_out_what_is_not_recorded_yet() -> None:
    template = "{% if has('nano_e', 'tiny', 'xsub', amp=AMP) %}recorded{% endif %}"
    assert [rendered(template.replace("AMP", each), RECORDS) for each in ("true", "false")] == ["recorded", ""]


@pytest.mark.parametrize(("records", "number"), [([], 0), ([RECORDS[-1]] * 2, 2)])
def test_a_measurement_is_one_record(records: list[Record], number: int) -> None:
    with pytest.raises(LookupError, match=f"There are {number} records of a measurement with the name 'robustness'"):
        rendered("{{ measured('robustness').figure('top1') }}", records)


def test_two_records_of_one_seed_are_an_error() -> None:
    with pytest.raises(LookupError, match=r"Two records have the same seed \(\[0, 0, 1\]\)"):
        rendered("{{ runs('nano_e', 'tiny', 'xsub').seeds }}", [*RECORDS, record(0, 91.0)])


@pytest.mark.parametrize(
    "line",
    [
        "It reaches 93.",
        "A gain of -0.43 points",
        "| row | 92.89 |",
        "**92.89**",
        "2026-11-23",
        "## Results of 2026",
        "(±0.4)",
        "view 3",
        "`96.14`",
        "`96.1 %`",
        "by top-2.5",
    ],
)
def test_a_bare_figure_in_an_unmarked_section_is_reported(line: str) -> None:
    assert [number for number, _ in untraced(f"# Title\n\n{line}\n")] == [3]


@pytest.mark.parametrize(
    "line",
    [
        "top-1, F1, NTU60, SHA-256, COCO17 and `nano_e` with `--epochs 70`",
        "[results](results.md#2026-11-23) <!-- 93.32 -->",
        "```\n--set learning_rate=0.05 --epochs 70 # torch 2.13.0, 300 MB, 12.5 s\n```",
        "`0.541`, `a=93.3`",
        "no figure",
    ],
)
def test_names_code_and_targets_of_links_are_no_figures(line: str) -> None:
    assert list(untraced(f"# Title\n\n{line}\n")) == []


def test_a_marked_section_ends_with_the_next_one_and_includes_its_subsections() -> None:
    text = f"# T\n\n## A\n\n{BY_HAND}\n\n92.1\n\n### Sub\n\n92.2\n\n## B\n\n92.3\n"
    assert [figure for _, figure in untraced(text)] == ["92.3"]


def test_a_mark_in_a_subsection_leaves_the_rest_of_its_section_unmarked() -> None:
    text = f"## A\n\n92.1\n\n### Sub\n\n{BY_HAND}\n\n92.2\n\n### Other\n\n92.3\n"
    assert [figure for _, figure in untraced(text)] == ["92.1", "92.3"]


def test_a_mark_under_the_title_does_not_cover_the_document() -> None:
    assert [figure for _, figure in untraced(f"# T\n\n{BY_HAND}\n\n92.1\n\n## A\n\n92.2\n")] == ["92.2"]


@pytest.mark.parametrize("mark", ["", SETTINGS])
def test_a_number_like_an_accuracy_is_reported_in_a_code_block(mark: str) -> None:
    text = f"## A\n\n{mark}\n\n```\ntop-1 93.32 of 70 epochs\n```\n\n## B\n"
    assert [figure for _, figure in untraced(text)] == ["93.32"]


@pytest.mark.parametrize("mark", [BY_HAND, SETTINGS])
def test_a_mark_counts_only_where_its_section_begins(mark: str) -> None:
    found = [figure for _, figure in untraced(f"## A\n\nWords.\n\n{mark}\n\n96.1\n")]
    assert "96.1" in found
    assert "96.1" not in [figure for _, figure in untraced(f"## A\n\n{mark}\n\nWords.\n\n96.1\n")]


@pytest.mark.parametrize(
    "mark",
    [
        "*Not traced: measured by hand.*",
        "Not traced: measured by hand on 2026-11-23.",
        "*Not traced: measured by hand on 2099-99-99*",
        "*Not traced: measured by hand on 2999-01-01*",
    ],
)
def test_a_mark_needs_its_form_and_a_day_that_has_been(mark: str) -> None:
    assert "92.1" in [figure for _, figure in untraced(f"## A\n\n{mark}\n\n92.1\n")]


@pytest.mark.parametrize(
    ("line", "reported"), [("alpha 0.7, arXiv 1503.02531, torch 2.13.0", []), ("92.89", ["92.89"])]
)
def test_a_section_of_settings_has_numbers_and_no_results(line: str, reported: list[str]) -> None:
    assert [figure for _, figure in untraced(f"## A\n\n{SETTINGS}\n\n{line}\n")] == reported
    assert list(untraced(f"## A\n\n{SETTINGS}\n\nover\n\n## B\n\n{line}\n"))


def laid_out(folder: Path, monkeypatch: pytest.MonkeyPatch, template: str) -> Path:
    for name in ("docs", "results"):
        (folder / name).mkdir()
    (folder / "docs" / "distillation.md").write_text("# Distillation\n")
    (folder / "results" / "results.md.j2").write_text(template)
    monkeypatch.setattr(ledger, "ROOT", folder)
    monkeypatch.setattr(ledger, "RECORDS", folder / "results")
    monkeypatch.setattr(ledger, "RESULTS", folder / "docs" / "results.md")
    monkeypatch.setattr(ledger, "DISTILLATION", folder / "docs" / "distillation.md")
    return folder


def test_the_document_is_written_and_a_change_by_hand_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = laid_out(tmp_path, monkeypatch, "# Results\n\nLooked at {{ looks('tiny', 'xsub') }} times.\n")
    assert (ledger.main([]), ledger.main(["--check"])) == (0, 0)
    document = root / "docs" / "results.md"
    assert document.read_text() == "# Results\n\nLooked at 0 times.\n"
    document.write_text("# Results\n\nLooked at 7 times.\n")
    assert ledger.main(["--check"]) == 1
    assert "docs/results.md is not what results/results.md.j2 and the records make" in capsys.readouterr().out
    assert "7" in document.read_text()


def test_a_typed_figure_is_found_in_the_template_and_in_the_other_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = laid_out(tmp_path, monkeypatch, "# Results\n\nWe reach 93.32.\n")
    (root / "docs" / "distillation.md").write_text("# Distillation\n\nIt gains 2 points.\n")
    assert ledger.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "docs/results.md, line 3: 93.32. comes from no record. Take it from one, or mark the section.",
        "docs/distillation.md, line 3: 2 comes from no record. Take it from one, or mark the section.",
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ runs('nano_e', 'tiny', 'xsub').seeds }}", "There is no record of nano_e on tiny xsub"),
        ("{{ mean }}", "'mean' is undefined"),
        ("{% if %}", "Expected an expression"),
    ],
)
def test_a_template_with_an_error_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], template: str, message: str
) -> None:
    root = laid_out(tmp_path, monkeypatch, f"{template}\n")
    (root / "docs" / "results.md").write_text("as before\n")
    assert ledger.main([]) == 1
    assert f"results/results.md.j2: {message}" in capsys.readouterr().out
    assert (root / "docs" / "results.md").read_text() == "as before\n"
