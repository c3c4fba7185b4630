"""The plan of a sweep: its runs, their settings and folders, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY
from sweep_probes import SLOW, MakeSweep

from last.data.store.reader import open_store
from last.settings.splits import FoldChoice
from last.utils.config import to_yaml
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


def test_loader_processes_of_a_recipe_are_told_to_have_no_effect(
    sweep_plan: MakeSweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("hardware: {num_workers: 3}")
    plan = sweep_plan(recipe=str(recipe), seeds=[0, 1])
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [
        f"{recipe}: hardware.num_workers: 3 has no effect here, since each run reads its clips in the process that "
        "trains it."
    ]
    assert {run.config.hardware.num_workers for run in plan.runs} == {0}


def test_loader_processes_that_nobody_chose_are_not_told_of(
    sweep_plan: MakeSweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("hardware: {num_workers: 0}")
    sweep_plan(recipe=str(recipe), environment="kaggle")
    saved = sweep_plan().runs[0].config
    recipe.write_text(to_yaml(replace(saved, hardware=replace(saved.hardware, num_workers=2))))
    sweep_plan(recipe=str(recipe))
    sweep_plan(environment="lambda")
    assert [record for record in caplog.records if "num_workers" in record.getMessage()] == []


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
        ({"settings": ["hardware.num_workers=8"]}, "hardware.num_workers=... has no effect: in a sweep it is set by"),
        ({"settings": ["hardware={num_workers: 8}"]}, "hardware.num_workers=... has no effect"),
        (
            {"variants": {"a": ["data={split: other}"]}},
            "data.split=... has no effect: in a sweep it is set by --splits",
        ),
        ({"variants": {"a": ["test_every=2"]}}, "baseline and a compute the same, though test_every differs"),
        ({"variants": {"a": ["hardware.amp_dtype=fp16"]}}, "compute the same, though hardware.amp_dtype differs"),
        ({"variants": {"a": ["warmup_epochs=50"]}}, "baseline and a compute the same, though warmup_epochs differs"),
        ({"seeds": [1, 1]}, "--seeds has a duplicate: 1, 1"),
        ({"seeds": [2**64]}, "--seeds: 18446744073709551616 should be 0 to"),
        ({"splits": ["xsub", "xsub"]}, "--splits has a duplicate"),
        ({"folds": FoldChoice("camera", 2)}, "--split_by camera --folds 2"),
    ],
)
def test_impossible_sweeps_are_refused(sweep_plan: MakeSweep, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sweep_plan(**{"variants": SLOW, **changes})


def test_a_variant_that_averages_all_epochs_is_warned_of(
    sweep_plan: MakeSweep, caplog: pytest.LogCaptureFixture
) -> None:
    sweep_plan(
        variants={"some": ["ema.last_epochs=5"], "all": ["ema.last_epochs=9"]}, settings=["epochs=9", "momentum=0.5"]
    )
    assert "all: ema.last_epochs: 9 averages the weights of all 9 epochs" in caplog.text
    assert "some: " not in caplog.text


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


SAME_FOLDER = ("protocols: {a/b: {by: file}, 'a:b': {by: file, seed: 1}}", ["a/b", "a:b"], "a/b and a:b would give one")
SAME_IN_ONE_CASE = ("protocols: {A: {by: file}, a: {by: file, seed: 1}}", ["A", "a"], "A and a would give one file")


@pytest.mark.parametrize(("protocols", "splits", "message"), [SAME_FOLDER, SAME_IN_ONE_CASE])
def test_parts_whose_runs_would_share_a_folder_are_refused(
    sweep_plan: MakeSweep, data_yaml: Path, tmp_path: Path, protocols: str, splits: list[str], message: str
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(data_yaml.read_text().replace("protocols: {", protocols.removesuffix("}") + ", "))
    with pytest.raises(UserError, match=message):
        sweep_plan(dataset=str(own), splits=splits)


def split_file(folder: Path, clips: list[str]) -> Path:
    folder.mkdir()
    middle = len(clips) // 2
    path = folder / "mine.txt"
    path.write_text("\n".join(["train:", *clips[:middle], "test:", *clips[middle:]]))
    return path


@pytest.fixture
def clip_names(data_yaml: Path) -> list[str]:
    return sorted(map(str, open_store(data_yaml.parent / "data" / "tiny").clips["name"]))


def test_split_files_of_one_name_are_refused(sweep_plan: MakeSweep, tmp_path: Path, clip_names: list[str]) -> None:
    one, other = (split_file(tmp_path / name, clip_names) for name in ("one", "other"))
    assert sweep_plan(splits=[str(one)]).parts == ["mine"]
    with pytest.raises(UserError, match=r"one/mine.txt and of .*other/mine.txt would be in one folder, mine"):
        sweep_plan(splits=[str(one), str(other)])


def test_a_text_file_as_the_data_sets_own_split_is_the_reported_protocol(
    sweep_plan: MakeSweep, data_yaml: Path, tmp_path: Path, clip_names: list[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(data_yaml.read_text().replace("split: xsub", f"split: {split_file(tmp_path / 'one', clip_names)}"))
    assert sweep_plan(dataset=str(own)).reported == "mine"
    assert sweep_plan(dataset=str(own), splits=["xsub"]).reported == ""


def test_settings_complete_a_recipe_that_needs_them(sweep_plan: MakeSweep, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("early_stopping: {patience: 5}")
    plan = sweep_plan(recipe=str(recipe), settings=[*TINY, "validation=split"])
    assert {run.config.early_stopping.patience for run in plan.runs} == {5}


def test_how_often_it_is_tested_decides_when_a_training_ends_early(sweep_plan: MakeSweep) -> None:
    settings = [*TINY, "validation=split", "early_stopping.patience=5"]
    assert len(sweep_plan(settings=settings, variants={"seldom": ["test_every=2"]}).runs) == 2


def test_other_data_may_be_a_variant(sweep_plan: MakeSweep, tmp_path: Path) -> None:
    assert len(sweep_plan(variants={"other": [f"data_root={tmp_path}"]}).runs) == 2
