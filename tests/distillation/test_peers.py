"""Mutual learning: the loss of each network, what is saved and exported of them, and exact resuming."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional

from last import load_checkpoint, tasks
from last.data.loading.run_data import TrainingData, training_data
from last.data.store.find_store import find_store
from last.distillation.peers import MutualLearning
from last.distillation.recipe import DistillationRecipe
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runtime.cuda_graphs import GraphedForward, recorded_steps
from last.runtime.run_context import RunContext
from last.settings.distillation import DistillationConfig
from last.settings.run import RunConfig
from last.training.whole_step import refuse_contradictions
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
PEERS = "distillation.peers=2"
PLAIN = ("grad_clip=0", "model.dropout=0", "model.block_dropout=0")
CONTEXT = RunContext(torch.device("cpu"))


def mutual(config: RunConfig) -> tuple[MutualLearning, TrainingData]:
    recipe = DistillationRecipe()
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    torch.manual_seed(config.seed)
    task = recipe.build(recipe.build_model(config, data), config, data, CONTEXT)
    assert isinstance(task, MutualLearning)
    return task, data


def test_only_the_passes_of_the_reported_network_are_recorded_on_a_gpu(tiny_config: MakeConfig) -> None:
    task, _ = mutual(tiny_config(PEERS))
    with recorded_steps(task.model):
        recorded = [isinstance(vars(each).get("forward"), GraphedForward) for each in (task.model, *task.peers)]
    assert recorded == [True, False, False]


def state(run: RunFolder) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(run.last)
    return {**checkpoint.model, **{f"task {name}": each for name, each in checkpoint.task.items()}}


def test_each_network_learns_from_the_labels_and_from_the_mean_divergence_to_the_others(
    tiny_config: MakeConfig,
) -> None:
    config = tiny_config(PEERS, "distillation.alpha=0.25", "distillation.tau=2", "batch_size=12")
    task, data = mutual(config)
    batch = next(iter(data.loader))
    batch = batch.with_streams(data.pipeline(batch, training=True))
    networks = [task.model, *task.peers]
    output = task.eval()(batch)
    output.loss.backward()
    found = [[each.grad.clone() for each in network.parameters()] for network in networks]
    task.zero_grad()
    logits = [network(batch.streams, batch.bodies, batch.body_slots) for network in networks]
    losses = []
    for own in logits:
        others = [other.detach() for other in logits if other is not own]
        shares = [functional.softmax(other / 2, dim=1) for other in others]
        pairs = [(p * (p.log() - functional.log_softmax(own / 2, dim=1))).sum(dim=1).mean() for p in shares]
        label_loss = functional.cross_entropy(own, batch.labels, label_smoothing=0.1)
        losses.append(0.25 * label_loss + 0.75 * 4 * sum(pairs) / 2)
    torch.testing.assert_close(output.loss, losses[0])
    for network, loss, gradients in zip(networks, losses, found, strict=True):
        expected = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        torch.testing.assert_close(gradients, list(expected), rtol=1e-3, atol=1e-5)
    assert torch.equal(output.predictions, logits[0])


def test_peers_begin_with_other_weights_and_the_reported_network_with_its_own(tiny_config: MakeConfig) -> None:
    task, data = mutual(tiny_config(PEERS))
    torch.manual_seed(tiny_config().seed)
    alone = DistillationRecipe().build_model(tiny_config(), data)
    assert torch.equal(task.model.classifier.weight, alone.classifier.weight)
    first = [each.classifier.weight for each in (task.model, *task.peers)]
    assert not any(torch.equal(one, other) for one, other in zip(first, [*first[1:], first[0]], strict=True))


def test_with_alpha_one_the_reported_network_learns_as_it_does_alone(tiny_config: MakeConfig) -> None:
    together = experiment.train(tiny_config("epochs=2", *PLAIN, PEERS, "distillation.alpha=1")).run
    alone = experiment.train(tiny_config("epochs=2", *PLAIN)).run
    torch.testing.assert_close(read_checkpoint(together.last).model, read_checkpoint(alone.last).model)
    rows = [json.loads(line) for line in (together.path / "metrics.jsonl").read_text().splitlines()]
    assert all(row["train_loss"] == pytest.approx(row["train_labels_loss"], rel=1e-5) for row in rows)


def test_peers_change_what_the_reported_network_learns(tiny_config: MakeConfig) -> None:
    together = experiment.train(tiny_config("epochs=2", PEERS)).run
    alone = experiment.train(tiny_config("epochs=2")).run
    assert not torch.equal(
        read_checkpoint(together.last).model["classifier.weight"],
        read_checkpoint(alone.last).model["classifier.weight"],
    )


def test_a_run_with_peers_that_was_stopped_ends_like_one_left_alone(
    tiny_config: MakeConfig, train_and_stop: Callable[..., RunFolder], tmp_path: Path
) -> None:
    how = ("epochs=3", PEERS, "ema.decay=0.9", "gradient_accumulation_steps=2", "amp=true", "distillation.alpha_end=1")
    whole = state(experiment.train(tiny_config(*how)).run)
    other = tiny_config(*how, f"output_root={tmp_path / 'other'}")
    train_and_stop(other, 4)  # within an epoch, and within an update
    resumed = state(experiment.train(other, "auto").run)
    assert resumed.keys() == whole.keys()
    assert any(name.startswith("task peers.1.") for name in whole)
    assert all(torch.equal(resumed[name], each) for name, each in whole.items())


def test_peers_are_saved_but_neither_averaged_nor_part_of_the_model(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1", PEERS, "ema.decay=0.9")).run
    checkpoint = read_checkpoint(run.last)
    assert not [name for name in (*checkpoint.model, *checkpoint.ema) if "peers" in name]
    assert (
        sum(each.numel() for each in load_checkpoint(run.last).parameters())
        == json.loads(run.summary.read_text())["parameters"]
    )


def test_summary_and_log_name_the_peers(tiny_config: MakeConfig) -> None:
    how = ("distillation.tau=1", "distillation.label_smoothing=0", "distillation.alpha=0.5")
    run = experiment.train(tiny_config("epochs=1", PEERS, *how)).run
    summary = json.loads(run.summary.read_text())
    assert (summary["peers"], summary["distillation"]["used"]) == (2, {"tau": 1.0, "label_smoothing": 0.0})
    said = "2 peers of the same model with other initial weights, alpha 0.5, tau 1, label smoothing 0"
    assert said in run.log.read_text()


def test_auto_and_resume_distinguish_the_number_of_peers(tiny_config: MakeConfig) -> None:
    alone = experiment.train(tiny_config("epochs=1")).run
    together = experiment.train(tiny_config("epochs=1", PEERS), "auto").run
    assert alone.path != together.path
    assert experiment.train(tiny_config("epochs=1", PEERS), "auto").run.path == together.path
    for run, now in ((together, 1), (alone, 2)):
        changed = tiny_config("epochs=2", f"distillation.peers={now}")
        with pytest.raises(UserError, match="cannot change within a run"):
            experiment.train(changed, str(run.path), explicit_keys=["epochs", "distillation.peers"])


def test_fine_tuned_peers_share_the_backbone_and_not_the_classifier(tiny_config: MakeConfig, teacher: Path) -> None:
    task, _ = mutual(tiny_config(PEERS, "model.channels=[16,16]", f"init_from={teacher}"))
    own = dict(task.model.named_parameters())
    for peer in task.peers:
        for name, each in peer.named_parameters():
            if name == "classifier.weight":
                assert not torch.equal(each, own[name])
            elif not name.startswith("classifier."):
                assert torch.equal(each, own[name])


def test_mixed_clips_are_learned_with_peers(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1", PEERS, "data.augment.mix_add=0.5", "class_weights=balanced")).run
    assert json.loads(run.summary.read_text())["skipped_batches"] == 0


@pytest.mark.parametrize("how", [{"teachers": ["x"]}, {"method": "dkd"}])
def test_peers_with_teachers_or_another_method_are_refused(how: dict[str, object]) -> None:
    with pytest.raises(UserError, match="by the method kl, without teachers"):
        DistillationConfig(peers=1, **how)


@pytest.mark.parametrize("key", ["unlabelled", "unseen_only", "cached"])
def test_peers_with_what_only_teachers_have_are_refused(key: str) -> None:
    with pytest.raises(UserError, match=rf"distillation\.{key}: only for teachers.* Set distillation\.{key}=false"):
        DistillationConfig(peers=1, fixed_augmentations=2, **{key: True})


def test_a_whole_step_with_peers_is_not_recorded(tiny_config: MakeConfig) -> None:
    with pytest.raises(UserError, match=r"whole_step_graph cannot be used with distillation\.peers"):
        refuse_contradictions(tiny_config(PEERS), 1)


def test_another_task_has_no_peers(plug_in: Callable[[ModuleType, Path], None], tiny_config: MakeConfig) -> None:
    plug_in(tasks, Path(__file__).parents[1] / "extending" / "masked_joints.py")
    with pytest.raises(UserError, match="Train it without teachers and peers"):
        experiment.train(tiny_config("task=masked_joints", PEERS))
