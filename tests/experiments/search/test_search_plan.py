"""The plan of a search: its candidates, its runs, and what is refused."""

from pathlib import Path

import pytest
from search_probes import HELD_OUT, RATES, MakeSearch

from last.experiments.search.plan import refuse_unsuitable_clips
from last.settings.splits import FoldChoice
from last.utils.errors import UserError


def test_candidates_are_numbered_and_the_same_in_every_plan(search_plan: MakeSearch) -> None:
    first, again = search_plan().candidates.first(4), search_plan().candidates.first(6)
    assert [each.name for each in again] == ["c001", "c002", "c003", "c004", "c005", "c006"]
    assert [each.changes for each in first] == [each.changes for each in again[:4]]
    rates = [each.parts["xsub"].learning_rate for each in again]
    assert all(0.01 <= each <= 0.5 for each in rates)
    assert len(set(rates)) == 6


def test_a_search_is_titled_as_its_runs_are(search_plan: MakeSearch) -> None:
    settings = ["validation=split", "model.streams=[bone]", "model.joint_embedding=true"]
    assert search_plan(settings=settings).title == "nano_e of bone, joint_embedding on tiny"


def test_loader_processes_of_a_recipe_are_told_to_have_no_effect(
    search_plan: MakeSearch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "recipe.yaml").write_text("hardware: {num_workers: 3}")
    search_plan(recipe=str(tmp_path / "recipe.yaml"))
    assert caplog.text.count("hardware.num_workers: 3 has no effect here") == 1


def test_every_schedule_has_its_own_folder(search_plan: MakeSearch) -> None:
    search = search_plan()
    assert search.lengths == [1, 3, 9]
    plan = search.plan(3, search.candidates.first(1), [0, 1])
    assert [run.title for run in plan.runs] == [
        *("baseline on xsub, seed 0", "c001 on xsub, seed 0", "baseline on xsub, seed 1", "c001 on xsub, seed 1")
    ]
    assert {run.config.epochs for run in plan.runs} == {3}
    assert plan.runs[1].folder.parts[-3:] == ("search-tiny-nano_e", "xsub", "c001-3")


def test_the_values_of_epochs_are_the_lengths_of_the_schedules(search_plan: MakeSearch) -> None:
    assert search_plan(RATES, "epochs=2,8,4", settings=[]).lengths == [2, 4, 8]
    assert search_plan(RATES, "epochs=2..18", settings=[]).lengths == [2, 6, 18]
    assert search_plan(RATES, flags={"epochs": 3}, settings=[]).lengths == [1, 3]


def test_combinations_that_contradict_or_repeat_are_left_out(search_plan: MakeSearch) -> None:
    search = search_plan("data.sampling.crop_min=0.5,0.9", "data.sampling.crop_max=0.6,1.0")
    found = [tuple(each.values.values()) for each in search.candidates.first(10)]
    assert sorted(found) == [("0.5", "0.6"), ("0.9", "1.0")], "0.5 to 1.0 is the recipe, and 0.9 exceeds 0.6"
    assert search.candidates.most == 2


BALANCED = ("class_weights=none,balanced", "class_sampling=natural,balanced")


@pytest.mark.parametrize(
    ("searched", "settings", "warned"),
    [
        (["ema.last_epochs=1..9"], [], True),
        (["ema.last_epochs=2,8"], [], True),
        (["ema.last_epochs=1..7"], [], False),
        ([RATES], ["ema.last_epochs=8"], True),
        ([RATES], ["ema.decay=0.9"], False),
    ],
)
def test_an_average_of_the_whole_shortest_schedule_is_warned_of(
    search_plan: MakeSearch, caplog: pytest.LogCaptureFixture, searched: list[str], settings: list[str], *, warned: bool
) -> None:
    search_plan(*searched, "epochs=8,24", settings=["validation=split", *settings])
    assert ("averages the weights of all 8 epochs" in caplog.text) == warned


def test_candidates_that_a_run_would_refuse_are_left_out(search_plan: MakeSearch) -> None:
    search = search_plan(*BALANCED)
    found = [tuple(each.values.values()) for each in search.candidates.first(10)]
    assert sorted(found) == [("balanced", "natural"), ("none", "balanced")]


def test_candidates_that_compute_the_same_are_drawn_once(search_plan: MakeSearch) -> None:
    warmups = search_plan("warmup_epochs=7..40", settings=["validation=split", "epochs=70"]).candidates.first(99)
    assert sorted(each.values["warmup_epochs"] for each in warmups) == ["7", "8", "9"], (
        "10 and more are the recipe's 10"
    )
    peers = search_plan("distillation.peers=0,1", "distillation.tau=1,2,4")
    found = {(each.values["distillation.peers"], each.values["distillation.tau"]) for each in peers.candidates.first(9)}
    assert found == {("1", "1"), ("1", "2"), ("1", "4")}


def test_a_search_whose_candidates_all_compute_what_the_recipe_does_is_refused(search_plan: MakeSearch) -> None:
    search = search_plan("warmup_epochs=20..60", settings=["validation=split", "epochs=70"])
    with pytest.raises(UserError, match="compute the same as the recipe's own settings, though warmup_epochs differ"):
        search.candidates.first(1)


def test_a_search_whose_own_settings_or_all_candidates_contradict_is_refused(search_plan: MakeSearch) -> None:
    settings = ["validation=split", "class_weights=effective", "class_sampling=balanced"]
    with pytest.raises(UserError, match="the recipe's own settings on xsub: class_sampling: balanced and class_weig"):
        search_plan(RATES, settings=settings)
    search = search_plan("class_weights=effective,balanced", settings=["validation=split", "class_sampling=natural"])
    assert len(search.candidates.first(10)) == 2
    with pytest.raises(UserError, match="--search on xsub: class_sampling: balanced and class_weights: "):
        search_plan("class_weights=effective,balanced", settings=settings[::2]).candidates.first(1)


@pytest.mark.parametrize(
    ("searched", "message"),
    [
        (["learning_rat=0.1..0.2"], "(?s)--search learning_rat: .*Did you mean 'learning_rate'"),
        (["learning_rate=-1..1"], "^--search learning_rate: -1 should be"),
        (["optimizer=0..1"], "(?s)--search optimizer: "),
        (["device=cpu,cuda"], "does not change what a training computes"),
        (["nesterov=0..1"], "(?s)--search nesterov"),
        (["momentum=0.5,much"], "(?s)--search momentum: .*much"),
        ([RATES, RATES], "--search learning_rate is given twice"),
        (["data.augment.scale=0..0.3"], "data.augment.scale is given by --set and by --search"),
        (["batch_size=4,8"], "batch_size is given by --set and by --search"),
        (["seed=0,1"], "--search seed is not possible: it is set by --seeds"),
        (["data.split=a,b"], "it is set by --splits"),
        (["validation=test,split"], "decides by which clips candidates are compared"),
        (["data.select.cameras=[1],[2]"], "decides by which clips candidates are compared"),
        (["data.protocols.xsub.by=camera,subject"], "decides by which clips candidates are compared"),
        (["distillation.alpha=0.1..0.9"], "--search changes distillation.alpha, which has no effect without teachers"),
        (["max_hours=1,2"], "it is set by --max_hours"),
        ([RATES, "epochs=0,1"], "lengths of the schedules should be different integers above 0"),
        ([RATES, "epochs=1.5..3"], "lengths of the schedules should be different integers above 0"),
        ([RATES, "epochs=short,long"], "lengths of the schedules"),
        ([RATES, "epochs=9..3"], "the range is reversed"),
        (["epochs=3..9"], "Search at least one other setting too"),
    ],
)
def test_impossible_searches_are_refused_before_anything_is_trained(
    search_plan: MakeSearch, searched: list[str], message: str
) -> None:
    settings = ["data.augment.scale=0.1", "batch_size=4", "validation=split"]
    with pytest.raises(UserError, match=message):
        search_plan(*searched, settings=settings)


@pytest.mark.parametrize(("seeds", "message"), [([1, 1], "--seeds has a duplicate"), ([-1], "--seeds: -1 should be")])
def test_impossible_seeds_are_refused(search_plan: MakeSearch, seeds: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        search_plan(seeds=seeds)


def test_a_setting_that_a_search_sets_itself_is_refused(search_plan: MakeSearch) -> None:
    with pytest.raises(UserError, match=r"--set seed=... has no effect: in a search it is set by --seeds"):
        search_plan(settings=["seed=3"])


def test_a_search_does_not_choose_by_clips_on_which_results_are_reported(search_plan: MakeSearch) -> None:
    refuse_unsuitable_clips(search_plan())
    for changes in ({"settings": []}, {"settings": [], "folds": FoldChoice("file", 2)}):
        with pytest.raises(UserError, match=r"clips that xsub tests.*--set validation=split.*--splits.*--folds"):
            refuse_unsuitable_clips(search_plan(**changes))
    folds = search_plan(settings=["data.select.subjects=[1]"], folds=FoldChoice("file", 2))
    refuse_unsuitable_clips(folds)
    assert list(folds.own.parts) == ["file_fold1of2", "file_fold2of2"]


def test_a_recipe_may_need_the_settings_of_a_search(search_plan: MakeSearch, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("early_stopping: {patience: 5}")
    refuse_unsuitable_clips(search_plan(recipe=str(recipe)))


def test_a_protocol_that_is_set_anew_does_not_hide_the_reported_clips(search_plan: MakeSearch) -> None:
    settings = ["data.protocols.xsub.train=[2]"]
    with pytest.raises(UserError, match="clips that xsub tests"):
        refuse_unsuitable_clips(search_plan(settings=settings))


def test_a_search_may_change_how_a_student_learns_from_the_peers_that_it_searches(search_plan: MakeSearch) -> None:
    search = search_plan("distillation.peers=1,2", "distillation.alpha=0.1..0.9")
    assert {each.parts["xsub"].distillation.peers for each in search.candidates.first(4)} == {1, 2}


def test_a_search_warns_of_training_clips_of_one_class(
    search_plan: MakeSearch, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_unsuitable_clips(search_plan(settings=[*HELD_OUT, "data.select.actions=[1]"]))
    assert "All 4 training clips of xsub are of one class (rise)" in caplog.text


def test_a_search_without_data_is_refused(search_plan: MakeSearch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tiny"):
        refuse_unsuitable_clips(search_plan(flags={"data_root": str(tmp_path / "none")}))


@pytest.mark.parametrize(
    ("searched", "refused"),
    [
        (["distillation.dkd_others=1..8"], "distillation.dkd_others"),
        (["distillation.method=kl,dkd", "distillation.dkd_others=1..8"], "distillation.method"),
        (["distillation.peers=0,1", "distillation.alpha=0.1..0.9"], ""),
    ],
)
def test_a_searched_setting_of_distillation_needs_an_effect(
    search_plan: MakeSearch, searched: list[str], refused: str
) -> None:
    if not refused:
        search_plan(*searched)
        return
    with pytest.raises(UserError, match=f"--search changes {refused}, which has no effect without teachers"):
        search_plan(*searched)
