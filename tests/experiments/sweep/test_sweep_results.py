"""The results of a sweep: means, differences, and what is said about them."""

import json

import pytest
from sweep_probes import SLOW, MakeSweep, SweepTrainings

from last.experiments.sweep.report import columns, notes, row
from last.experiments.sweep.results import compare, read_outcomes
from last.experiments.sweep.run import run_sweep
from last.settings.splits import FoldChoice
from last.utils.errors import UserError


def test_a_variant_is_compared_with_the_baseline_clip_by_clip(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.recognised = lambda config: range(8) if "slow" in config.output_root else range(5 + config.seed)
    plan = sweep_plan(seeds=[0, 1])
    baseline, slow = compare(plan, run_sweep(plan, 1))
    assert baseline.together.mean == 55
    assert baseline.difference is None
    assert slow.together.text() == "80.00 ± 0.00"
    assert slow.difference is not None
    assert slow.difference.mean == pytest.approx(25)
    assert (slow.difference.clips, slow.difference.seeds) == (10, 2)
    assert slow.runs == (2, 2)
    assert slow.hours == pytest.approx(1.0)  # two runs of half an hour on one thread
    assert row(plan, slow)[0] == "slow"
    assert len(row(plan, slow)) == len(columns(plan))


def test_only_seeds_that_both_have_are_compared(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    plan = sweep_plan(seeds=[0, 1])
    sweep_trainings.fails = lambda config: (
        UserError("no") if config.seed == 1 and "slow" in config.output_root else None
    )
    _, slow = compare(plan, run_sweep(plan, 1))
    assert slow.difference is not None
    assert slow.difference.seeds == 1
    assert slow.runs == (1, 2)


def test_a_variant_without_runs_has_no_difference(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    plan = sweep_plan()
    sweep_trainings.fails = lambda config: UserError("no") if "slow" in config.output_root else None
    _, slow = compare(plan, run_sweep(plan, 1))
    assert slow.difference is None
    assert row(plan, slow)[1:4] == ["-", "-", ""]


def test_parts_are_shown_beside_each_other_if_they_are_few(sweep_plan: MakeSweep) -> None:
    together = ["all parts %", "mean of parts %"]
    assert columns(sweep_plan(folds=FoldChoice("file", 2)))[1:5] == ["file_fold1of2 %", "file_fold2of2 %", *together]
    assert columns(sweep_plan(folds=FoldChoice("file", 5)))[1:3] == together
    assert columns(sweep_plan())[1] == "top-1 %"


def test_parts_of_different_size_count_by_their_clips_or_alike(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.recognised = lambda config: range(10 if config.data.split == "file_fold1of2" else 5)
    plan = sweep_plan(folds=FoldChoice("file", 2))
    for each in run_sweep(plan, 1):
        if each.run.part == "file_fold2of2":
            head, *rows = each.predictions.read_text().splitlines()
            more = [text.replace("clip", "more") for text in rows]
            each.predictions.write_text("\n".join([head, *rows, *more]) + "\n")
    results = compare(plan, read_outcomes(plan))
    assert [(round(each.together.mean, 2), each.over_parts.mean) for each in results] == [(66.67, 75.0)] * 2
    assert row(plan, results[0])[3:5] == ["66.67", "75.00"]
    assert "every clip counts the same" in " ".join(notes(plan, results))


def test_the_notes_say_what_the_runs_cannot_tell(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    sweep_trainings.recognised = lambda config: [0, 1] if "baseline" in config.output_root else [1, 2]
    plan = sweep_plan(variants={**SLOW, "long": ["epochs=2"]})
    text = " ".join(notes(plan, compare(plan, run_sweep(plan, 1))))
    assert "Differences below about 30.0 points cannot be told from none" in text
    assert "One seed: the intervals lack the noise of training" in text
    assert "Of 2 variants without any effect" in text
    assert "xsub is the protocol on which results of this data set are reported" in text


def test_seeds_are_drawn_also_where_their_held_out_clips_differ(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.recognised = lambda config: range(9 * config.seed if "slow" in config.output_root else 5)
    plan = sweep_plan(seeds=[0, 1])
    outcomes = run_sweep(plan, 1)
    for each in outcomes[2:]:
        each.predictions.write_text(each.predictions.read_text().replace("clip", "other"))
    results = compare(plan, read_outcomes(plan))
    difference = results[1].difference
    assert difference is not None
    assert (difference.clips, difference.seeds) == (20, 2)
    assert difference.low < -40
    assert difference.high > 30, "the seeds differ by -50 and +40"
    assert "over clips and seeds" in " ".join(notes(plan, results))


def test_an_interval_that_is_still_of_one_seed_is_named(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    sweep_trainings.fails = lambda config: (
        UserError("no") if config.seed == 1 and "slow" in config.output_root else None
    )
    plan = sweep_plan(seeds=[0, 1], variants={**SLOW, "long": ["epochs=2"]})
    text = " ".join(notes(plan, compare(plan, run_sweep(plan, 1))))
    assert "Of one seed so far, so that the interval lacks the noise of training: slow." in text


def test_clips_that_several_parts_test_are_compared_once(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.recognised = lambda config: range(8 if "slow" in config.output_root else 5)
    once, twice = sweep_plan(name="once"), sweep_plan(name="twice", folds=FoldChoice("file", 2))
    (_, alone), (_, of_two) = (compare(plan, run_sweep(plan, 1)) for plan in (once, twice))
    assert alone.difference is not None
    assert alone.difference == of_two.difference


def test_with_held_out_clips_the_means_are_of_these_and_not_of_the_test_part(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    plan = sweep_plan(flags={"validation": "split", "validation_fraction": 0.3})
    for each in run_sweep(plan, 1):
        assert each.folder is not None
        summary = each.folder / "summary.json"  # has the figures of the test part
        summary.write_text(summary.read_text().replace("50.0", "90.0"))
    outcomes = read_outcomes(plan)
    results = compare(plan, outcomes)
    assert [each.together.mean for each in results] == [50, 50]
    assert outcomes[0].text().startswith("top-1 50.00")
    assert "on the held-out training clips" in " ".join(notes(plan, results))


def test_an_interval_without_width_decides_nothing(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    sweep_trainings.recognised = lambda config: [] if "baseline" in config.output_root else range(10)
    plan = sweep_plan()
    results = compare(plan, run_sweep(plan, 1))
    assert row(plan, results[1])[2:4] == ["+100.00 [+100.00, +100.00]", "undecided"]
    text = " ".join(notes(plan, results))
    assert "An interval without width says nothing" in text
    assert "cannot be told from none" not in text


def test_the_table_and_the_facts_are_written(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    plan = sweep_plan()
    run_sweep(plan, 1)
    text = (plan.folder / "sweep.md").read_text()
    assert "| slow | 50.00 | +0.00 [+0.00, +0.00] | undecided | 1 of 1 | 0.5 |" in text
    assert "- `slow`: `learning_rate=0.001`" in text
    facts = json.loads((plan.folder / "sweep.json").read_text())
    assert facts["variants"][1]["difference"]["mean"] == 0
    assert [each["status"] for each in facts["runs"]] == ["done", "done"]
    assert facts["runs"][0]["run"].startswith("xsub/baseline/run-")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no clips. Remove it"),
        ("name,other\nclip0,1\n", "cannot be read"),
        ("name,correct\nclip0,1\n", "slow on xsub was tested on other clips than the baseline"),
    ],
)
def test_damaged_predictions_are_named(
    content: str, message: str, sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    plan = sweep_plan()
    slow = run_sweep(plan, 1)[1]
    slow.predictions.write_text(content)
    with pytest.raises(UserError, match=message):
        compare(plan, read_outcomes(plan))
