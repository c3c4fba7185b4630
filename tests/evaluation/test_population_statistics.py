"""Statistics for testing belong to the weights that are tested, and never touch the training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import last
from last.data.loading.run_data import training_data
from last.data.store.find_store import find_store
from last.data.store.reader import write_store
from last.evaluation.evaluate import evaluate
from last.evaluation.population_statistics import PopulationStatistics
from last.evaluation.request import EvalRequest
from last.experiments import run as experiment
from last.models import batchnorm_stats as running_statistics
from last.models.batchnorm_stats import BatchNorm, statistics_lag
from last.models.registry import build_model
from last.runs.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from last.runs.checkpoint_files import CheckpointFiles
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.precision import Precision
from last.settings.data import AugmentConfig
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
CPU = torch.device("cpu")


PLAIN = AugmentConfig(rotation_degrees=[])


def population(config: RunConfig) -> PopulationStatistics:
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    torch.manual_seed(0)
    model = build_model(config.model, len(data.classes), config.data.layout).train()
    return PopulationStatistics(model, data.sample, data.pipeline, CPU, precision=Precision(False, "auto", CPU))


def inputs_of_norms(measured: PopulationStatistics) -> dict[str, list[Tensor]]:
    """Return what enters every BatchNorm, (P, C) a batch, each normalising by its batch."""
    found: dict[str, list[Tensor]] = {}
    norms = {name: each for name, each in measured.model.named_modules() if isinstance(each, BatchNorm)}
    hooks = [
        norm.register_forward_hook(
            lambda _norm, inputs, _output, name=name: found.setdefault(name, []).append(inputs[0])
        )
        for name, norm in norms.items()
    ]
    state = {name: each.clone() for name, each in measured.model.state_dict().items()}
    measured.model.eval()
    for norm in norms.values():
        norm.train()
    with torch.no_grad():
        for batch in measured.sample:
            measured.model(measured.pipeline(batch, training=True), batch.bodies, batch.body_slots)
    for hook in hooks:
        hook.remove()
    measured.model.load_state_dict(state)
    measured.model.train()
    return {name: [each.transpose(0, 1).flatten(1).T.double() for each in batches] for name, batches in found.items()}


def test_they_are_the_mean_and_variance_of_what_enters_each_norm(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "last.data.loading.run_data._TEST_BATCH", 5
    )  # so that the sample has several batches, the last short
    measured = population(tiny_config("model.family=last_e"))
    statistics = measured.measure()
    inputs = inputs_of_norms(measured)
    assert len(inputs) > 5
    for name, batches in inputs.items():
        mean = torch.cat(batches).mean(dim=0)
        # Within batches as BatchNorm estimates it, without bias, and between them.
        within = sum(len(rows) * rows.var(dim=0) for rows in batches) / sum(map(len, batches))
        between = sum(len(rows) * (rows.mean(dim=0) - mean) ** 2 for rows in batches) / sum(map(len, batches))
        torch.testing.assert_close(statistics[f"{name}.running_mean"].double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(statistics[f"{name}.running_var"].double(), within + between, rtol=1e-4, atol=1e-5)


def test_measuring_leaves_the_model_as_it_was_bit_for_bit(tiny_config: MakeConfig) -> None:
    measured = population(tiny_config())
    norms = [each for each in measured.model.modules() if isinstance(each, BatchNorm)]
    before = {name: each.clone() for name, each in measured.model.state_dict().items()}
    modes = [each.training for each in measured.model.modules()]
    first, second = measured.measure(), measured.measure()
    assert all(torch.equal(each, before[name]) for name, each in measured.model.state_dict().items())
    assert [each.training for each in measured.model.modules()] == modes
    assert {norm.momentum for norm in norms} == {0.1}
    assert all(torch.equal(each, second[name]) for name, each in first.items())
    assert not all(torch.equal(each, before[name]) for name, each in first.items())


def test_a_batch_without_any_body_has_no_weight(tiny_config: MakeConfig) -> None:
    measured = population(tiny_config())
    batches = list(measured.sample)
    nobody = {name: torch.zeros_like(getattr(batches[0], name)) for name in ("joints", "frame_mask")}
    measured.sample = batches
    expected = measured.measure()
    measured.sample = [replace(batches[0], **nobody, body_slots=batches[0].body_slots[:0]), *batches]
    assert all(torch.equal(each, expected[name]) for name, each in measured.measure().items())


def test_measuring_takes_back_no_batch_that_a_frozen_norm_has_not_counted(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchNorm, "train", lambda norm, _mode=True: nn.Module.train(norm, False))
    measured = population(tiny_config())
    before = {name: each.clone() for name, each in measured.model.state_dict().items()}
    measured.measure()
    assert all(torch.equal(before[name], each) for name, each in measured.model.state_dict().items())


def test_lent_statistics_are_taken_back_even_after_an_error(tiny_config: MakeConfig) -> None:
    measured = population(tiny_config())
    statistics = measured.measure()
    before = {name: each.clone() for name, each in measured.model.state_dict().items()}
    with pytest.raises(KeyError), measured.applied(statistics):
        assert all(torch.equal(measured.model.state_dict()[name], each) for name, each in statistics.items())
        raise KeyError
    assert all(torch.equal(each, before[name]) for name, each in measured.model.state_dict().items())


def test_a_model_without_batchnorm_has_none(tiny_config: MakeConfig) -> None:
    measured = population(tiny_config())
    plain = PopulationStatistics(nn.Linear(2, 2), [], measured.pipeline, CPU, precision=measured.precision)
    assert plain.measure() == {}


@pytest.mark.parametrize(
    ("clips", "changes", "since_reset", "lags"),
    [
        (12, ["epochs=3"], 9, True),  # nine updates in all
        (4 * 250, ["epochs=4"], 1000, False),
        (4 * 250, ["epochs=4"], 99, True),  # as after the guard's reset, or in the first batches of a run
        (4 * 250, ["epochs=4", "gradient_accumulation_steps=2"], 1000, True),  # 500 updates
        (4 * 250 - 1, ["epochs=4"], 1000, False),
        (4 * 249, ["epochs=4"], 996, True),
    ],
)
def test_running_statistics_lag_in_short_runs_and_after_a_reset(
    tiny_config: MakeConfig, clips: int, changes: list[str], since_reset: int, lags: bool
) -> None:
    assert statistics_lag(tiny_config(*changes).optimization, clips, since_reset) is lags


def states(run: RunFolder) -> Checkpoint:
    return read_checkpoint(run.last)


def test_testing_with_them_does_not_change_what_is_trained(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = states(experiment.train(tiny_config("epochs=3")).run)
    monkeypatch.setattr(running_statistics, "SETTLED_UPDATES", 0)
    monkeypatch.setattr(running_statistics, "SETTLED_BATCHES", 0)
    plain = states(experiment.train(tiny_config("epochs=3")).run)
    assert measuring.statistics and not plain.statistics
    assert measuring.model.keys() == plain.model.keys()
    assert all(torch.equal(each, plain.model[name]) for name, each in measuring.model.items())


@pytest.mark.parametrize("no_ema", [False, True])
@pytest.mark.parametrize("settled", [False, True])
def test_evaluating_a_checkpoint_gives_the_figures_of_its_run(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_ema: bool, settled: bool
) -> None:
    if settled:
        monkeypatch.setattr(running_statistics, "SETTLED_UPDATES", 0)
        monkeypatch.setattr(running_statistics, "SETTLED_BATCHES", 0)
    run = experiment.train(tiny_config("epochs=2", "ema.decay=0.9", "learning_rate=0.1", "amp=true")).run
    row = read_rows(run.path / "metrics.jsonl")[-1]
    result = evaluate(EvalRequest(run.last, no_ema=no_ema), tmp_path / "report")
    assert result.metrics.loss == pytest.approx(row["test_loss" if no_ema else "ema_test_loss"], rel=1e-5)
    assert result.facts["statistics"] == ("running" if no_ema and settled else "measured")


def test_averaged_weights_come_with_statistics_of_their_own(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=2", "ema.decay=0.9", "learning_rate=0.1")).run
    checkpoint = states(run)
    assert set(checkpoint.statistics) == {"trained", "averaged"}
    offered, trained = last.load_checkpoint(run.last), last.load_checkpoint(run.last, no_ema=True)
    for model, weights in ((offered, "averaged"), (trained, "trained")):
        kept = checkpoint.statistics[weights]
        assert all(torch.equal(model.state_dict()[name], each) for name, each in kept.items())
    own, other = checkpoint.statistics["averaged"], checkpoint.statistics["trained"]
    assert not all(torch.equal(each, other[name]) for name, each in own.items())


def test_a_checkpoint_that_lacks_them_is_doubted_and_measured_from_the_data(
    tiny_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(tiny_config("epochs=2", "ema.decay=0.9", "learning_rate=0.1")).run
    older = tmp_path / "older.pth"
    save_checkpoint(older, replace(states(run), statistics={}))
    last.load_checkpoint(older)
    assert "without matching BatchNorm statistics" in caplog.text
    measured, kept = (evaluate(EvalRequest(path), tmp_path / path.stem) for path in (older, run.last))
    running = evaluate(EvalRequest(older, statistics="running"), tmp_path / "running")
    assert measured.metrics.loss == pytest.approx(kept.metrics.loss, rel=1e-6)
    assert running.metrics.loss != pytest.approx(kept.metrics.loss, rel=1e-3)


def test_a_state_within_an_epoch_has_none_since_its_weights_have_moved_on(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Checkpoint] = []
    monkeypatch.setattr(CheckpointFiles, "save_within", lambda _files, checkpoint: saved.append(checkpoint))
    experiment.train(tiny_config("epochs=2", "ema.decay=0.9", "checkpoint.every_minutes=1e-9"))
    assert any(checkpoint.epoch == 0 for checkpoint in saved)
    assert all(not checkpoint.statistics for checkpoint in saved)


def test_an_epoch_that_is_not_tested_is_not_measured(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    measure = PopulationStatistics.measure
    monkeypatch.setattr(PopulationStatistics, "measure", lambda each: measured.append(1) or measure(each))
    run = experiment.train(tiny_config("epochs=5", "test_every=3", "ema.decay=0.9", "checkpoint.keep=5")).run
    assert len(measured) == 2 * 2  # the third and the last epoch, trained and averaged weights
    kept = [bool(read_checkpoint(path).statistics) for path in run.epochs()]
    assert kept == [False, False, True, False, True]


@pytest.mark.parametrize("averaged", [False, True])
def test_weights_that_lack_their_statistics_are_never_offered_or_tested_without_a_word(
    tiny_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, averaged: bool
) -> None:
    run = experiment.train(tiny_config("epochs=2", f"ema.decay={0.9 if averaged else 0}", "learning_rate=0.1")).run
    older = tmp_path / "older.pth"
    elsewhere = {"data_root": str(tmp_path / "nothing")}
    save_checkpoint(older, replace(states(run), statistics={}, config=replace(states(run).config, **elsewhere)))
    last.load_checkpoint(older)
    kind = "averaged" if averaged else "trained"
    assert f"holds {kind} weights without matching BatchNorm statistics" in caplog.text
    caplog.clear()
    result = evaluate(EvalRequest(older, data_root=tiny_config().data_root), tmp_path / "report")
    assert result.facts["statistics"] == "measured" and "may be far too low" not in caplog.text


def other_data(folder: Path, config: RunConfig) -> dict[str, str]:
    """Write another data set of the same classes and return the request's part that names it."""
    text = "data: {name: other, classes: [rise, fall, still], split: s, protocols: {s: {by: subject, test: [1]}}}"
    (folder / "other.yaml").write_text(text)
    own = find_store(config.data, Path(config.data_root))
    write_store(folder / "data" / "other", own, name="other", layout="ntu25", classes=own.classes)
    return {"dataset": str(folder / "other.yaml"), "data_root": str(folder / "data")}


def test_statistics_are_measured_where_the_run_found_its_clips_or_that_is_reported(
    tiny_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(tiny_config("epochs=2")).run
    older, lost = tmp_path / "older.pth", tmp_path / "lost.pth"
    config = states(run).config
    save_checkpoint(older, replace(states(run), statistics={}))
    save_checkpoint(lost, replace(states(run), statistics={}, config=replace(config, data_root=str(tmp_path / "no"))))
    other = other_data(tmp_path, config)
    assert evaluate(EvalRequest(older, **other), tmp_path / "report").facts["statistics"] == "measured"
    assert "may be far too low" not in caplog.text
    assert evaluate(EvalRequest(lost, **other), tmp_path / "report").facts["statistics"] == "running"
    assert "trained weights are tested with running statistics that lag behind them" in caplog.text
    with pytest.raises(UserError, match="no prepared data set 'tiny'"):
        evaluate(EvalRequest(lost, statistics="measured", **other), tmp_path / "report")


def test_statistics_without_augmentation_are_those_of_a_run_that_does_not_augment(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    config = tiny_config("epochs=1", "data.augment.scale=0.5", "data.augment.mirror_probability=0.5")
    run = experiment.train(config).run
    plain, path = tmp_path / "plain.pth", tmp_path / "report"
    save_checkpoint(plain, replace(states(run), config=replace(config, data=replace(config.data, augment=PLAIN))))

    def loss(checkpoint: Path, statistics: str) -> float:
        result = evaluate(EvalRequest(checkpoint, statistics=statistics), path)
        assert result.facts["statistics"] == statistics
        return float(result.metrics.loss)

    assert loss(run.last, "unaugmented") == pytest.approx(loss(plain, "measured"), rel=1e-5)
    assert loss(run.last, "unaugmented") != pytest.approx(loss(run.last, "measured"), rel=1e-5)


@pytest.mark.parametrize("epochs", [90, 1000])
def test_the_length_of_a_run_gives_the_number_of_batches_that_were_counted(
    tiny_config: MakeConfig, epochs: int
) -> None:
    checkpoint = replace(states(experiment.train(tiny_config("epochs=1")).run), statistics={})
    assert checkpoint.lacks_statistics(no_ema=False)
    long = replace(checkpoint, config=replace(checkpoint.config, epochs=epochs), guard={})  # three batches an epoch
    assert long.lacks_statistics(no_ema=False) is (3 * epochs < 1000)
