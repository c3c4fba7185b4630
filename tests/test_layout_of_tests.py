"""Where the tests of a module are: in the folder of the same name, in a file with the module's name, or listed here."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"

# Modules whose behaviour shows only together with others, and the file of tests that covers them.
TESTED_IN = {
    "__main__": "cli/test_main",
    "version": "utils/test_versions",
    "cli/columns": "cli/test_terminal",
    "cli/convert": "data/preparation/test_convert",
    "cli/cost": "models/test_cost",
    "cli/evaluate_output": "cli/test_evaluate_command",
    "cli/failures": "cli/test_main",
    "cli/predict_checks": "cli/test_predict_refusals",
    "cli/predict_input": "cli/test_predict_command",
    "cli/predict_output": "cli/test_predict_command",
    "cli/progress_line": "cli/test_terminal",
    "cli/runs_compare": "cli/test_runs_command",
    "cli/runs_table": "cli/test_runs_command",
    "cli/steps": "cli/test_start_command",
    "cli/split_options": "cli/test_split_command",
    "data/loading/augmented": "cli/test_view_command",
    "data/loading/bucketing": "runtime/test_compilation",
    "data/loading/confidences": "data/loading/test_missing",
    "data/loading/device_constants": "utils/test_tensor_cache",
    "data/preparation/chunks": "data/preparation/test_preprocess",
    "data/preparation/discover": "cli/test_found_data_set",
    "data/preparation/formats/base": "data/preparation/readers/test_every_reader",
    "data/preparation/formats/bounded_unpickler": "data/preparation/formats/test_restricted_pickle",
    "data/preparation/formats/c3d_file": "data/preparation/readers/test_c3d_reader",
    "data/preparation/formats/csv_rows": "data/preparation/readers/test_table_reader",
    "data/preparation/formats/frame_numbers": "data/preparation/readers/test_frame_numbers",
    "data/preparation/formats/hdf5_files": "data/preparation/readers/test_sleap_reader",
    "data/preparation/formats/json_recordings": "data/preparation/readers/test_coco_reader",
    "data/preparation/formats/known_numbers": "data/preparation/readers/test_table_reader",
    "data/preparation/formats/other_layouts": "data/preparation/test_two_coordinates",
    "data/preparation/formats/parquet_pages": "data/preparation/readers/test_parquet_tables",
    "data/preparation/formats/parquet_rows": "data/preparation/readers/test_parquet_tables",
    "data/preparation/formats/table_clips": "data/preparation/readers/test_table_reader",
    "data/preparation/formats/table_columns": "data/preparation/readers/test_table_reader",
    **{
        f"data/preparation/intervals/{name}": "data/preparation/intervals/test_interval_tables"
        for name in ("boris", "elan", "own_table", "rows")
    },
    "data/preparation/intervals/plans": "data/preparation/intervals/test_long_recordings",
    "data/store/clip": "data/store/test_store",
    "data/store/fingerprints": "experiments/test_run_on_other_data",
    "data/store/fold_choice": "data/store/test_folds",
    "data/store/format": "data/store/test_store",
    "data/store/listed_parts": "data/store/test_split_files",
    "data/store/reader": "data/store/test_store",
    "data/store/writer": "data/store/test_store",
    "data/synthetic/actions": "data/synthetic/test_synthetic",
    "data/synthetic/body": "data/synthetic/test_synthetic",
    "data/synthetic/dataset": "data/synthetic/test_synthetic",
    "data/synthetic/performer": "data/synthetic/test_synthetic",
    "data/synthetic/recording": "data/synthetic/test_synthetic",
    "deploy/backends/onnx": "deploy/test_export",
    "deploy/backends/openvino": "deploy/test_export",
    "deploy/onnx_graph": "deploy/test_export",
    "deploy/network": "deploy/test_front",
    "deploy/arrays": "deploy/test_front",
    "deploy/contract": "deploy/test_export",
    "distillation/cache_builder": "distillation/test_teacher_cache",
    "distillation/recipe": "distillation/test_distilled_runs",
    "distillation/resume_rules": "distillation/test_distilled_runs",
    "distillation/task": "distillation/test_distilled_runs",
    "distillation/teacher_outputs": "distillation/test_teacher_cache",
    "distillation/teachers": "distillation/test_distilled_runs",
    "distillation/unseen_advice": "distillation/test_unseen",
    "evaluation/choices": "evaluation/test_evaluate",
    "evaluation/extras_report": "evaluation/test_details",
    "evaluation/findings": "evaluation/test_details",
    "evaluation/page_content": "evaluation/test_evaluation_page",
    "evaluation/recording_report": "evaluation/test_long_recordings_report",
    "evaluation/statistics": "evaluation/test_population_statistics",
    "experiments/resume_check": "experiments/test_run_on_other_data",
    "experiments/search/report": "experiments/search/test_search_results",
    "experiments/search/run": "experiments/search/test_search",
    "experiments/sequence/plan": "experiments/sequence/test_sequence",
    "experiments/sequence/run": "experiments/sequence/test_sequence",
    "experiments/sequence/table": "experiments/sequence/test_sequence",
    "experiments/sweep/report": "experiments/sweep/test_sweep_results",
    "experiments/sweep/run": "experiments/sweep/test_sweep",
    "inspection/clip_source": "cli/test_view_command",
    "inspection/student_training": "inspection/test_students",
    "models/batchnorm_stats": "evaluation/test_population_statistics",
    "models/channel_major": "models/test_layers",
    "models/facts": "runs/test_checkpoint",
    "models/multi_body": "models/test_classifier",
    "models/stream_masks": "models/test_missing_joints",
    "models/tracing": "models/test_hooks",
    "models/triton_attention": "models/test_triton_kernels",
    "models/triton_batch_norm": "models/test_triton_kernels",
    "models/triton_dropout": "models/test_triton_kernels",
    "models/triton_frames": "models/test_triton_kernels",
    "models/triton_joints": "models/test_triton_kernels",
    "plots/drawing": "plots/test_skeletons",
    "plots/robustness": "evaluation/test_robustness",
    "plots/running_labels": "plots/test_skeletons",
    "runs/checkpoint_check": "runs/test_checkpoint_fields",
    "runs/checkpoint_model": "runs/test_checkpoint",
    "runs/results": "runs/test_history",
    "runs/teacher_output_files": "distillation/test_teacher_cache",
    **{
        f"inspection/{name}": "inspection/test_planted_faults"
        for name in ("anatomy", "check", "copied_clips", "directions", "measured_set", "measures")
    },
    **{
        f"inspection/checks/{name}": "inspection/test_planted_faults"
        for name in ("bodies", "copies", "geometry", "labels", "lengths", "motion", "values", "whole_set")
    },
    "inspection/contents": "cli/test_inspect_command",
    "runs/resume": "experiments/test_resume",
    "runs/torch_file": "runs/test_checkpoint_fields",
    "runtime/async_reader": "training/test_no_host_round_trips",
    "runtime/run_context": "training/test_trainer",
    "utils/plug_in_files": "extending/test_wrong_plug_ins",
    "serve/connections": "serve/test_abuse",
    "serve/joints": "serve/test_app",
    "serve/metrics": "serve/test_app",
    "serve/schemas": "serve/test_app",
    "serve/server": "cli/test_serve_command",
    "settings/intervals": "data/preparation/intervals/test_interval_tables",
    "settings/optimization": "experiments/test_run_config",
    "settings/run": "experiments/test_run_config",
    "settings/splits": "data/store/test_split_files",
    "tasks/recipe": "extending/test_a_task",
    "tasks/task": "extending/test_a_task",
    "training/classification": "training/test_epoch_metrics",
    "training/epoch_report": "training/test_epoch_metrics",
    "training/epoch_tests": "training/test_trainer",
    "training/optimizers/sgd": "training/test_optim",
    "training/resume_check": "runs/test_checkpoint_fields",
    "training/step": "training/test_guard",
    "training/train_state": "training/test_trainer",
    "utils/aliases": "cli/test_suggestions",
    "utils/errors": "cli/test_main",
    "utils/limits": "utils/test_validation",
    "utils/plug_ins": "extending/test_every_kind",
    "utils/temperature": "deploy/test_calibration",
    "utils/progress": "cli/test_terminal",
}

MODULES = sorted(
    path.relative_to(SOURCE).with_suffix("").as_posix() for path in SOURCE.rglob("*.py") if path.stem != "__init__"
)


def named_after(module: str) -> list[Path]:
    """Return the files of tests in the module's folder that have its name in theirs, and not just that of another."""
    folder = (TESTS / module).parent
    name = module.rpartition("/")[2]
    others = {f"test_{path.stem}" for path in (SOURCE / module).parent.glob("*.py")} - {f"test_{name}"}
    return [path for path in folder.glob("test_*.py") if f"_{name}_" in f"_{path.stem}_" and path.stem not in others]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_tests_that_are_found_by_its_name_or_in_the_list(module: str) -> None:
    found = named_after(module)
    listed = TESTED_IN.get(module)
    assert bool(found) != bool(listed), f"{module} has {found or 'no tests of its name'} and is listed with {listed}"
    assert not listed or (TESTS / f"{listed}.py").exists()


def test_the_list_has_modules_alone() -> None:
    assert not TESTED_IN.keys() - set(MODULES)


def test_no_two_files_of_tests_have_the_same_name() -> None:
    names = [path.name for path in TESTS.rglob("*.py")]
    assert sorted(names) == sorted(set(names))


def test_a_test_is_named_by_a_sentence() -> None:
    for path in TESTS.rglob("test_*.py"):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert name.count("_") >= 3, f"{path.name}: {name}"
