"""The distillation benchmark measures the trainer's steps, each with the right source of teacher outputs."""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from last.benchmarks.distillation import (
    CACHED,
    LIVE,
    PLAIN,
    Setup,
    batches_of_views,
    build_tasks,
    cache_building,
    measure,
    prepare,
    random_cache,
)
from last.benchmarks.options import add_part
from last.data.loading.counter_rng import fixed_keys
from last.distillation.cache import CachedTeachers
from last.distillation.teachers import LiveTeachers
from last.utils.progress import SILENT

CLIPS, BATCH, DRAWS, TURNS, FILLS = 6, 4, 3, 3, 2
SIZES = {"clips": CLIPS, "batch": BATCH, "fixed_augmentations": DRAWS, "turns": TURNS, "fills": FILLS, "frames": 4}
WARMUP_TURNS = 2


def tiny_options(*options: str) -> Namespace:
    """Return the part's tiny options."""
    parser = ArgumentParser()
    add_part("distillation", parser, quick=True)
    parser.set_defaults(**SIZES)
    return parser.parse_args(["--device", "cpu", *options])


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return prepare(tiny_options(), tmp_path, SILENT)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the number of clips for which live teachers and caches returned outputs."""
    clips: Counter[str] = Counter()
    for source in (LiveTeachers, CachedTeachers):

        def counting(self: Any, streams: Any, batch: Any, real: Any = source.__call__) -> Any:
            clips[type(self).__name__] += len(batch)
            return real(self, streams, batch)

        monkeypatch.setattr(source, "__call__", counting)
    return clips


@pytest.mark.long
def test_one_of_three_steps_runs_the_teacher_one_reads_the_cache_and_building_runs_it_on_every_clip(
    calls: Counter[str],
) -> None:
    measure(tiny_options(), SILENT)
    steps = (WARMUP_TURNS + TURNS) * BATCH
    assert calls == {"LiveTeachers": steps + (1 + FILLS) * CLIPS, "CachedTeachers": steps}


def test_times_are_reported_beside_the_plain_steps() -> None:
    result = measure(tiny_options(), SILENT)
    steps, builds = (table.rows for table in result.tables)
    assert [row["way"] for row in steps] == [PLAIN, LIVE, CACHED]
    assert steps[0]["ratio"] == 1.0
    assert steps[1]["clips_per_second"] == pytest.approx(1e3 * BATCH / steps[1]["milliseconds"]["median"])
    assert result.summary["live_times_plain"] == steps[1]["ratio"]
    assert builds[0]["clips"] == CLIPS
    assert builds[0]["clips_per_second"] == pytest.approx(1e3 / builds[0]["milliseconds_per_clip"])


def test_the_students_are_equal_and_the_teacher_is_a_frozen_other_model(setup: Setup) -> None:
    plain, *students = (task.model.state_dict() for task in build_tasks(setup).values())
    for other in students:
        assert plain.keys() == other.keys()
        assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert not setup.teacher.model.training
    assert not any(each.requires_grad for each in setup.teacher.model.parameters())


def test_batches_have_every_cached_view(setup: Setup) -> None:
    batches = batches_of_views(setup)
    assert len(batches) == DRAWS
    for view, batch in enumerate(batches):
        assert len(batch) == BATCH
        assert torch.equal(batch.rng_keys, fixed_keys(batch.indices, view))


def test_a_teacher_output_is_read_from_the_file_at_its_clip_and_view(setup: Setup) -> None:
    cache = random_cache(setup)
    outputs = np.load(setup.folder / "outputs.npy")
    assert outputs.shape == (CLIPS, DRAWS, setup.live.clip_shapes.width)
    batch = batches_of_views(setup)[1]
    rows = np.searchsorted(setup.data.sampler.indices.numpy(), batch.indices.numpy())
    np.testing.assert_array_equal(cache({}, batch).packed().numpy(), outputs[rows, 1])


def test_each_building_makes_a_whole_new_cache_of_one_view(setup: Setup) -> None:
    build = cache_building(setup)
    for name in ("cache0", "cache1"):
        build()
        assert (setup.folder / name / "outputs.json").exists()
        outputs = np.load(setup.folder / name / "outputs.npy")
        assert outputs.shape == (CLIPS, 1, setup.live.clip_shapes.width)
        assert outputs.any(axis=2).all()


def test_there_are_never_fewer_clips_than_in_a_batch(tmp_path: Path) -> None:
    setup = prepare(tiny_options("--batch", "8"), tmp_path, SILENT)
    assert [len(batch) for batch in batches_of_views(setup)] == [8] * DRAWS


def test_mixed_precision_is_for_student_and_teacher(tmp_path: Path) -> None:
    setup = prepare(tiny_options("--amp"), tmp_path, SILENT)
    assert setup.config.amp
    assert setup.live.precisions == ["bfloat16"]


def test_an_unknown_teacher_is_refused_before_anything_is_measured(cli: Callable[..., Any]) -> None:
    result = cli("benchmark", "distillation", "--quick", "--teacher", "larg_e")
    assert result.code == 2
    assert result.err.startswith("error: There is no model 'larg_e'. Did you mean 'large_e'?")
