"""The plan of a sweep: its runs, their settings and folders, and what is refused."""

from pathlib import Path

import pytest
from conftest import TINY
from sweep_probes import SLOW, MakeSweep

from last.settings.splits import FoldChoice
from last.utils.errors import UserError


def test_all_variants_are_trained_with_one_seed_before_the_next(sweep_plan: MakeSweep) -> None:
    plan = sweep_plan(seeds=[0, 1])
    assert [run.title for run in plan.runs] == [
        *("baseline on xsub, seed 0", "slow on xsub, seed 0", "baseline on xsub, seed 1", "slow on xsub, seed 1")
    ]
    assert len({run.folder for run in plan.runs}) == 2
    assert all(run.folder.parts[-3:-1] == ("sweep-tiny-nano_e", "xsub") for run in plan.runs)


def test_a_variants_settings_win_over_those_of_all_runs_and_over_flags(sweep_plan: MakeSweep) -> None:
    variants = {"long": ["epochs=3"], "large": ["batch_size=8"]}
    plan = sweep_plan(flags={"epochs": 2}, variants=variants)
    found = {run.variant: (run.config.epochs, run.config.batch_size) for run in plan.runs}
    assert found == {"baseline": (2, 4), "long": (3, 4), "large": (2, 8)}


def test_folds_may_stand_beside_protocols(sweep_plan: MakeSweep) -> None:
    plan = sweep_plan(splits=["xsub"], folds=FoldChoice("file", 2))
    assert plan.parts == ["xsub", "file_fold1of2", "file_fold2of2"]
    assert sweep_plan(folds=FoldChoice("file", 3, 2)).parts == ["file_fold2of3"]


def test_every_run_is_one_process_with_its_share_of_the_cores(sweep_plan: MakeSweep) -> None:
    hardware = [run.config.hardware for run in sweep_plan(threads=3).runs]
    assert {(each.cpu_threads, each.num_workers) for each in hardware} == {(3, 0)}
    given = sweep_plan(threads=3, variants={"two": ["hardware.cpu_threads=2", "learning_rate=0.001"]}).runs
    assert [run.config.hardware.cpu_threads for run in given] == [3, 2]


def test_a_choice_on_the_reported_protocol_is_noted_unless_training_clips_are_held_out(sweep_plan: MakeSweep) -> None:
    assert sweep_plan().reported == "xsub"
    assert sweep_plan(folds=FoldChoice("file", 2)).reported == ""
    assert sweep_plan(variants={"slow": ["learning_rate=0.001"]}, flags={"validation": "split"}).reported == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": {"baseline": ["epochs=2"]}}, "'baseline' should have another name"),
        ({"variants": {"Baseline": ["epochs=2"]}}, "'Baseline' should have another name"),
        ({"variants": {"A": ["epochs=2"], "a": ["epochs=3"]}}, "names that differ only in case"),
        ({"variants": {"a/b": ["epochs=2"]}}, "'a/b' should have another name, such as no_mirror"),
        ({"variants": {"empty": []}}, "--variant empty needs what it changes, as KEY=VALUE"),
        ({"variants": {"empty": ["epochs"]}}, "--variant empty needs what it changes"),
        ({"variants": {"same": ["epochs=1"]}}, "variants baseline and same have the same settings"),
        ({"variants": {"a": ["epochs=2"], "b": ["epochs=2"]}}, "variants a and b have the same settings"),
        (
            {"variants": {"a": ["data.select.actions=[2,1]"], "b": ["data.select.actions=[1,2]"]}},
            "a and b have the same",
        ),
        ({"variants": {"wrong": ["learning_rat=1"]}}, "(?s)--variant wrong: .*Did you mean 'learning_rate'"),
        ({"variants": {"other": ["validation=split"]}}, "other changes validation, .* --set validation="),
        ({"variants": {"taught": ["distillation.tau=2"]}}, "taught changes distillation.tau, .* without teachers"),
        ({"variants": {"taught": ["distillation={tau: 2}"]}}, "taught changes distillation, .* without teachers"),
        ({"variants": {"by": ["distillation.method=dkd"]}}, "by changes distillation.method, .* without teachers"),
        (
            {"variants": {"both": ["distillation.peers=1", "distillation.unlabelled=false"]}},
            "both changes distillation.unlabelled, .* with peers, which are no teachers",
        ),
        ({"variants": {"seeded": ["seed=2"]}}, "seed=... has no effect: in a sweep it is set by --seeds"),
        ({"settings": ["output_root=here"]}, "it is set by --output_root"),
        ({"seeds": [1, 1]}, "--seeds has a duplicate: 1, 1"),
        ({"seeds": [2**64]}, "--seeds: 18446744073709551616 should be 0 to"),
        ({"splits": ["xsub", "xsub"]}, "--splits has a duplicate"),
        ({"folds": FoldChoice("camera", 2)}, "--split_by camera --folds 2"),
    ],
)
def test_impossible_sweeps_are_refused(sweep_plan: MakeSweep, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sweep_plan(**{"variants": SLOW, **changes})


def test_a_variant_takes_away_what_a_recipe_has(sweep_plan: MakeSweep, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: {added_streams: {partner: {}}}")
    variants = {"without": ["model.added_streams.partner=null"], "long": ["epochs=2"]}
    plan = sweep_plan(recipe=str(recipe), variants=variants)
    found = {run.variant: run.config.model.added_streams for run in plan.runs}
    assert found == {"baseline": {"partner": {}}, "without": {}, "long": {"partner": {}}}
    with pytest.raises(UserError, match="variants baseline and without have the same settings"):
        sweep_plan(variants=variants)
    refilled = sweep_plan(
        recipe=str(recipe),
        settings=[*TINY, "model.added_streams={}"],
        variants={"with": ["model.added_streams={partner: {}}"]},
    )
    assert [run.config.model.added_streams for run in refilled.runs] == [{}, {"partner": {}}]
