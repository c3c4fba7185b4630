"""Training from Python."""

from pathlib import Path

import pytest
from conftest import TINY

import last
from last.data.store.protocols import split
from last.data.store.reader import open_store
from last.experiments.run import Result
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.utils.errors import UserError

SETTINGS = dict(each.split("=") for each in TINY)


def settings() -> dict[str, object]:
    import yaml

    return {key: yaml.safe_load(value) for key, value in SETTINGS.items()} | {"hardware.num_workers": 0}


def test_a_model_is_trained_loaded_and_resumed(data_yaml: Path, tmp_path: Path) -> None:
    places = {"data_root": data_yaml.parent / "data", "output_root": tmp_path}
    run = last.train("nano_e", data_yaml, epochs=2, seed=3, settings=settings(), **places)
    assert run.path.parent == tmp_path and run.checkpoint.exists() and run.best_checkpoint.exists()
    assert run.summary["seed"] == 3 and 0 <= run.summary["final_top1"] <= 100
    assert run.load().facts.classes == ("rise", "fall", "still")
    assert run.finished
    for given in ({"resume": run.path}, {"resume": "latest", "output_root": tmp_path}, {"resume": run.checkpoint}):
        assert last.train(**given).path == run.path
    longer = last.train(resume=run.path, epochs=3)
    assert longer.path == run.path
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_run_that_the_time_stopped_says_so_instead_of_having_no_figures(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Result(RunFolder(tmp_path / "run"), {}, Stop.TIME)
    monkeypatch.setattr("last.experiments.run.train", lambda *_, **__: stopped)
    run = last.train("nano_e", data_yaml, max_hours=1)
    assert not run.finished and run.path == tmp_path / "run"
    with pytest.raises(
        UserError, match=r"is not finished: its time is over\. To resume it: last\.train\(resume='.*run'"
    ):
        run.summary["final_top1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 2}, "Did you mean 'epochs'?"),
        ({"epochs": "two"}, "should be a whole number"),
        ({"epochs": 2, "settings": {"epochs": 3}}, "epochs: given as an argument and in `settings`"),
    ],
)
def test_a_wrong_key_or_value_is_refused(data_yaml: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as refused:
        last.train("nano_e", data_yaml, **given)
    assert message in str(refused.value)


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Train nothing; return the list of the configurations that would have been trained."""
    configs: list[RunConfig] = []

    def trained(config: RunConfig, *_: object, **__: object) -> Result:
        configs.append(config)
        return Result(RunFolder(tmp_path), {})

    monkeypatch.setattr("last.experiments.run.train", trained)
    return configs


def test_paths_are_settings_like_their_texts(data_yaml: Path, tmp_path: Path, seen: list[RunConfig]) -> None:
    given = {"output_root": tmp_path / "runs", "input_roots": [tmp_path / "one", tmp_path / "two"]}
    last.train("nano_e", data_yaml, settings=given)
    last.train("nano_e", data_yaml, **given)
    for config in seen:
        assert config.output_root == str(tmp_path / "runs")
        assert {str(tmp_path / "one"), str(tmp_path / "two")} <= set(config.input_roots)
    assert len(seen) == 2


def test_a_split_file_is_a_split_like_a_protocol(data_yaml: Path, tmp_path: Path, seen: list[RunConfig]) -> None:
    path, root = tmp_path / "own.txt", data_yaml.parent / "data"
    names = open_store(root / "tiny").clips["name"].tolist()
    path.write_text("\n".join(["train:", *names[:16], "test:", *names[16:]]))
    last.train("nano_e", data_yaml, data_root=root, settings={"data.split": path})
    (config,) = seen
    assert config.data.split in config.data.protocols
    clips = open_store(root / "tiny").clips
    assert set(clips["name"][split(clips, config.data).test].tolist()) == set(names[16:])


def test_none_and_an_empty_mapping_are_settings_like_any_other(
    data_yaml: Path, tmp_path: Path, seen: list[RunConfig]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{model: {added_streams: {partner: {}}}, distillation: {alpha: 0.2}}")
    for given in ({}, {"model.added_streams.partner": None, "distillation.alpha": None}, {"model.added_streams": {}}):
        last.train("nano_e", data_yaml, config=recipe, settings=given)
    assert [config.model.added_streams for config in seen] == [{"partner": {}}, {}, {}]
    assert [config.distillation.alpha for config in seen] == [0.2, None, 0.2]
