"""Cached teacher outputs: equal to live ones, addressed by all that they depend on, computed once."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from distillation_probes import taught_by, train_teacher
from noted_progress import NotedProgress
from patience import PATIENCE_S

from last.data.loading.run_data import training_data
from last.data.store.find_store import find_store
from last.data.store.reader import write_store
from last.distillation import cache_builder
from last.distillation.cache import CachedTeachers
from last.distillation.cache_builder import cached_outputs
from last.distillation.teachers import LiveTeachers, load_teachers
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.folder import RunFolder
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
CPU = torch.device("cpu")
RUN_CONTEXT = RunContext(CPU)


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(run.last).model)


@pytest.mark.parametrize("method", ["kl", "features", "attention"])
def test_cached_and_live_teachers_agree_on_the_same_draws(tiny_config: MakeConfig, teacher: Path, method: str) -> None:
    other = train_teacher(tiny_config, "model.blocks=[1,2]")
    how = ["distillation.fixed_augmentations=3", f"distillation.method={method}", "repeats_per_epoch=2"]
    config, teachers = load_teachers(tiny_config(taught_by(teacher, other), *how), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    live = LiveTeachers(teachers, config.distillation.method, CPU)
    outputs = cached_outputs(config, data, live, RUN_CONTEXT).open()
    cached = CachedTeachers(outputs, live.clip_shapes, data.sampler.indices, CPU)
    for data.sampler.epoch in range(3):
        for batch in data.loader:
            streams = data.pipeline(batch, training=True)
            torch.testing.assert_close(cached({}, batch).packed(), live(streams, batch).packed())


def test_a_student_of_cached_teachers_becomes_that_of_live_ones(tiny_config: MakeConfig, teacher: Path) -> None:
    augmented = ("epochs=3", taught_by(teacher), "distillation.fixed_augmentations=2")
    live, cached = (
        experiment.train(tiny_config(*augmented, f"distillation.cached={each}")).run for each in ("no", "yes")
    )
    torch.testing.assert_close(weights(cached), weights(live), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        (["data.sampling.crop_min=0.7"], "sampling"),
        (["data.augment.scale=0.2"], "augment"),
        (["label_fraction=0.5"], "clips"),
        (["distillation.fixed_augmentations=3"], "draws"),
        (["distillation.method=features"], "outputs"),
        (["data.normalize.face_camera=true"], "normalize"),
        (["input_frames=12"], "input_frames"),
        (["data.max_gap=0"], "missing_joints"),
        (["data.min_confidence=0.2"], "missing_joints"),
        (["data.augment.drop_joints=0.3"], "augment"),
    ],
)
def test_outputs_are_kept_for_what_they_depend_on(
    tiny_config: MakeConfig, teacher: Path, changes: list[str], differing: str
) -> None:
    config, teachers = load_teachers(tiny_config(taught_by(teacher), "distillation.fixed_augmentations=2"), ALONE)
    store = find_store(config.data, Path(config.data_root))

    def key(now: RunConfig) -> dict[str, Any]:
        live = LiveTeachers(teachers, now.distillation.method, CPU)
        return cache_builder._key(now.distillation, now.data, training_data(now, store), live)

    before, after = key(config), key(tiny_config(taught_by(teacher), "distillation.fixed_augmentations=2", *changes))
    expected = {differing, "teachers"}  # whose fingerprints only `load_teachers` fills in
    assert {name for name in before | after if before.get(name) != after.get(name)} == expected
    assert "missing_joints" not in before  # as in caches of older versions
    assert not [name for name in before["augment"] if name.startswith("drop_")]


def test_outputs_depend_on_the_store_and_the_teachers_precision(
    tiny_config: MakeConfig, teacher: Path, tmp_path: Path
) -> None:
    config, (one,) = load_teachers(tiny_config(taught_by(teacher), "distillation.fixed_augmentations=2"), ALONE)
    narrow = replace(one, config=replace(one.config, amp=True))
    own = find_store(config.data, Path(config.data_root))
    larger = [replace(clip, joints=clip.joints * 1.5) for clip in own]
    write_store(tmp_path / "data" / "tiny", larger, name="tiny", layout="ntu25", classes=own.classes)
    keys = [
        cache_builder._key(
            config.distillation,
            config.data,
            training_data(config, find_store(config.data, root)),
            LiveTeachers([used], config.distillation.method, CPU),
        )
        for root, used in ((Path(config.data_root), one), (tmp_path / "data", one), (Path(config.data_root), narrow))
    ]
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {"store"}
    assert {name for name in keys[0] if keys[0][name] != keys[2][name]} == {"precision"}


def test_outputs_that_are_not_finite_are_refused(tiny_config: MakeConfig, teacher: Path) -> None:
    config, teachers = load_teachers(tiny_config(taught_by(teacher), "distillation.fixed_augmentations=2"), ALONE)
    torch.nn.init.constant_(teachers[0].model.classifier.bias, float("inf"))
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    with pytest.raises(UserError, match="outputs are not finite"):
        cached_outputs(config, data, LiveTeachers(teachers, config.distillation.method, CPU), RUN_CONTEXT)


def test_an_interrupted_computation_of_outputs_is_resumed(
    tiny_config: MakeConfig, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_builder, "_BATCH", 5)
    monkeypatch.setattr(cache_builder, "_SAVED_EVERY", 2)
    config, teachers = load_teachers(tiny_config(taught_by(teacher), "distillation.fixed_augmentations=2"), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    live = LiveTeachers(teachers, config.distillation.method, CPU)
    whole = cached_outputs(config, data, live, RUN_CONTEXT).open()
    computed = []

    class Dying(LiveTeachers):
        def __call__(self, streams, batch):  # type: ignore[no-untyped-def]
            if len(computed) == 5 and not computed[0]:
                computed[0] = True
                raise KeyboardInterrupt
            computed.append(False)
            return super().__call__(streams, batch)

    again = replace(config, distillation=replace(config.distillation, cache=config.output_root + "/again"))
    dying = Dying(teachers, again.distillation.method, CPU)
    with pytest.raises(KeyboardInterrupt):
        cached_outputs(again, data, dying, RUN_CONTEXT)
    shown = NotedProgress()
    torch.testing.assert_close(cached_outputs(again, data, dying, replace(RUN_CONTEXT, progress=shown)).open(), whole)
    assert (shown.tasks[0].before, sum(shown.tasks[0].done)) == (17, 7)
    assert len(computed) == 5 + 2  # of six batches four were kept


def test_of_two_runs_that_need_the_same_outputs_one_computes_them_and_the_other_waits(
    tiny_config: MakeConfig, teacher: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, teachers = load_teachers(tiny_config(taught_by(teacher), "distillation.fixed_augmentations=2"), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    computed: list[int] = []
    waits = threading.Event()

    class Slow(LiveTeachers):
        def __call__(self, streams, batch):  # type: ignore[no-untyped-def]
            computed.append(len(batch))
            assert waits.wait(timeout=PATIENCE_S)
            return super().__call__(streams, batch)

    def prepare() -> Path:
        return cached_outputs(config, data, Slow(teachers, config.distillation.method, CPU), RUN_CONTEXT).path

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as pool:
        both = [pool.submit(prepare) for _ in range(2)]
        while "this one waits for it" not in caplog.text and not any(each.done() for each in both):
            time.sleep(0.01)
        waits.set()
        assert "this one waits for it" in caplog.text
        assert both[0].result() == both[1].result()
    assert sum(computed) == 2 * 12


def test_live_outputs_that_are_not_finite_are_refused_by_name_before_anything_is_trained(
    tiny_config: MakeConfig, teacher: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pth"
    checkpoint = read_checkpoint(teacher)
    spoilt = {**checkpoint.model, "classifier.bias": torch.full_like(checkpoint.model["classifier.bias"], float("nan"))}
    save_checkpoint(broken, replace(checkpoint, model=spoilt))
    before = sorted(Path(tiny_config().output_root).glob("run-*"))
    with pytest.raises(UserError, match=r"outputs are not finite \(.*broken.pth\)"):
        experiment.train(tiny_config("epochs=1", taught_by(teacher, broken)))
    assert sorted(Path(tiny_config().output_root).glob("run-*")) == before
