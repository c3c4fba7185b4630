"""Training from Python: `last.train`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..models.classifier import SkeletonClassifier
from ..runs.checkpoint_model import load_checkpoint
from ..runs.folder import RunFolder
from ..runs.history import named_path
from ..utils.errors import UserError
from ..utils.progress import SILENT, Progress
from ..utils.root_folders import root_folders
from . import run as experiment
from .config import resolve
from .folds import with_split


@dataclass(frozen=True)
class TrainedRun:
    """A run that `train` has finished, or that `max_hours` stopped before.

    Attributes:
        path: its folder.
        stopped: why it is not finished; empty if it is.
        results: see `summary`; empty if it is not finished.
    """

    path: Path
    stopped: str
    results: Mapping[str, Any] = field(repr=False)

    @property
    def finished(self) -> bool:
        """Return whether all epochs are trained, or early stopping has ended them."""
        return not self.stopped

    @property
    def summary(self) -> Mapping[str, Any]:
        """Return the content of its `summary.json`, such as `final_top1`, in percent.

        Raises:
            UserError: the run is not finished.
        """
        if self.stopped:
            raise UserError(
                f"The run {self.path} has no summary, since it is not finished: {self.stopped}. To resume it: "
                f"last.train(resume={str(self.path)!r})"
            )
        return self.results

    @property
    def checkpoint(self) -> Path:
        """Return the checkpoint of the last epoch."""
        return RunFolder(self.path).last

    @property
    def best_checkpoint(self) -> Path:
        """Return the checkpoint of the epoch with the best result on the tested clips.

        They are the test clips, whose result is then no fair estimate, or with `validation="split"` held-out training
        clips.
        """
        return RunFolder(self.path).best

    def load(self) -> SkeletonClassifier:
        """Return the model of the last epoch, ready to classify."""
        return load_checkpoint(self.checkpoint)


def train(
    model: str | Path = "",
    dataset: str | Path = "",
    *,
    config: str | Path = "",
    resume: str | Path = "",
    progress: Progress = SILENT,
    settings: Mapping[str, Any] | None = None,
    **keys: Any,
) -> TrainedRun:
    """Train a model, as the command `train` does, and return its run, also if `max_hours` stopped it.

    A script needs the guard `if __name__ == "__main__":` around it where clips are loaded by further processes.

    Args:
        model: one of `list_models()`, or the path of a model's YAML file.
        dataset: a known data set such as `ntu60`, or the path of a data YAML; it has to be prepared.
        config: a recipe: the path of a YAML file, or a name in `configs/training`.
        resume: the folder, the name or a checkpoint of a run to resume, or `latest` for the newest one: with its own
            configuration, unless `config` is given; `auto` for the newest run that matches the rest, or a new one.
        progress: the progress display; none by default.
        settings: values by dotted key, such as `{"data.augment.mirror_probability": 0.5}` or
            `{"data.split": "own.txt"}`; None for null.
        keys: values by key, such as `epochs=20`, `learning_rate=0.05`, `data_root="data"`.

    Raises:
        UserError: the data are missing, a key is unknown, a value is invalid, or a file cannot be written.
        TrainingDiverged: losses, gradients or scores are not finite.
    """
    settings = settings or {}
    if twice := sorted(keys.keys() & settings.keys()):
        raise UserError(f"{', '.join(twice)}: given as an argument and in `settings`. Give each once.")
    nulls = [f"{key}=null" for key, value in settings.items() if value is None]  # a flag of None is not given
    flags = {key: _plain(value) for key, value in {**keys, **settings}.items()}
    environment, resumed = str(flags.pop("environment", None) or ""), str(resume)
    if resumed not in ("", "auto"):
        resumed = str(named_path(resumed, root_folders(environment, output_root=flags.get("output_root"))))
        config = config or RunFolder.containing(Path(resumed)).config
    resolved = resolve(
        model=str(model),
        dataset=str(dataset),
        environment=environment,
        recipe=str(config),
        overrides=nulls,
        flags=flags,
    )
    result = experiment.train(with_split(resolved, None), resumed, progress, explicit_keys=[*flags])
    if result.stopped is not None:
        result.stopped.raise_signal()
    return TrainedRun(result.run.path, "" if result.stopped is None else result.stopped.value, result.summary)


def _plain(value: Any) -> Any:
    """Return a value of a configuration with texts for paths, also for those in lists."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
