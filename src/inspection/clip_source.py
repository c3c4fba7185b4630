"""What `view` and `inspect` look at: the clips of a store, or raw recordings, in one form."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.preparation.formats import FindsClasses
from ..data.preparation.formats.recordings import read_or_copy
from ..data.preparation.recognise import name_of_recordings, open_recordings, recognised
from ..data.store.clip import Clip
from ..data.store.find_store import find_store, store_named
from ..data.store.format import HEADER_FILE
from ..data.store.reader import Store, open_store
from ..runs.folder import RunFolder
from ..runs.history import LATEST, is_run, named_path
from ..settings.data import DataConfig, data_settings
from ..skeleton import Layout
from ..utils.config import YAML_ENDINGS, Layer, config_names, merge, section_layer
from ..utils.errors import UserError
from ..utils.names import suggestion
from ..utils.root_folders import RootFolders, is_file

_STORES_NAMED = 5
_FRAMES = 64  # as in the default configuration of a training


def _no_numbers() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Sought:
    """What a user names, and where it may be.

    Attributes:
        named: a store's folder, a data set's name or YAML, a run's folder or `latest`, or raw recordings.
        folders: where data sets and runs are.
        format_name, layout: of raw recordings; recognised if empty.
        dataset: the data set of the recordings, or of the store, or its YAML; empty if it is not named.
        own_data_root: whether the folder of data sets was chosen by the user, so that no other is searched.
    """

    named: str
    folders: RootFolders
    format_name: str = ""
    layout: str = ""
    dataset: str = ""
    own_data_root: bool = False


@dataclass(frozen=True)
class ClipSource:
    """Clips that can be looked at.

    Attributes:
        name: what the clips are called together.
        where: a sentence part about where they are.
        layout: their joint layout.
        classes: the names of their classes; empty if these are unknown.
        names: of the clips.
        labels: of the clips; -1 if unknown before the clip is read.
        read: returns the clip of a number; it raises BadClip if that cannot be read.
        subjects, cameras: of the clips; empty if these are unknown before the clips are read.
        store: the prepared data set, if the clips are in one.
        config: how a training would see them.
        frames: to how many frames it would sample them.
        seed, epochs: of the run, if they are those of a run; 0 epochs if their number is unknown.
        has_labels: whether a clip that is read has a label.
    """

    name: str
    where: str
    layout: Layout
    classes: list[str]
    names: list[str]
    labels: NDArray[np.int64]
    read: Callable[[int], Clip]
    subjects: NDArray[np.int64] = field(default_factory=_no_numbers)
    cameras: NDArray[np.int64] = field(default_factory=_no_numbers)
    store: Store | None = None
    config: DataConfig | None = None
    frames: int = _FRAMES
    seed: int = 0
    epochs: int = 0
    has_labels: bool = True

    def class_of(self, clip: Clip) -> str:
        """Return the name of a clip's class, its number if the classes have no names, or an empty text."""
        if not self.has_labels:
            return ""
        return self.classes[clip.label] if clip.label < len(self.classes) else f"class {clip.label}"


def find_clips(sought: Sought) -> ClipSource:
    """Return the clips that a user names: of a store, a data set, a run, or raw recordings.

    Raises:
        UserError: nothing there can be looked at; the message says what is missing.
    """
    named, path = sought.named, Path(sought.named)
    describes = sought.format_name or sought.layout
    if is_file(path / HEADER_FILE):
        return _of_store(open_store(path, verify=False), _config_of_store(path, sought.dataset))
    run = named_path(named, sought.folders)
    if is_run(run) and not describes:
        return _of_run(RunFolder(run), sought)
    if (named in config_names("data") and not path.exists()) or named.endswith(YAML_ENDINGS):
        return _of_data_set(sought)
    if not path.exists():
        hint = suggestion(named, config_names("data"))
        raise UserError(
            f"There is no {named}: name the folder of a prepared data set, a run's folder or `{LATEST}`, a data set "
            f"({', '.join(config_names('data'))}), or raw recordings.{hint}"
        )
    stores = [header.parent for header in sorted(path.glob(f"*/{HEADER_FILE}"))] if path.is_dir() else []
    if stores:
        named_stores = ", ".join(map(str, stores[:_STORES_NAMED]))
        raise UserError(f"{path} holds prepared data sets: name one of them, {named_stores}.")
    if sought.dataset:
        if describes:
            raise UserError("--format and --layout are for recordings without a data YAML: omit them, or --dataset.")
        config = data_settings(sought.dataset)
    else:
        config = recognised(path, sought.format_name, sought.layout)
    return _of_recordings(config, path)


def _of_store(store: Store, config: DataConfig | None, **more: Any) -> ClipSource:
    if not len(store):
        raise UserError(f"The prepared data set in {store.path} has no clip.")
    labels, subjects, cameras = (store.clips[name].astype(np.int64) for name in ("label", "subject", "camera"))
    return ClipSource(
        name=store.name,
        where=f"the prepared data set {store.name} in {store.path}",
        layout=store.skeleton,
        classes=store.classes,
        names=[str(name) for name in store.clips["name"]],
        labels=labels,
        read=store.__getitem__,
        subjects=subjects,
        cameras=cameras,
        store=store,
        config=config,
        **more,
    )


def _of_data_set(sought: Sought) -> ClipSource:
    config = data_settings(sought.named)
    return _of_store(store_named(sought.named, config, sought.folders, only_data_root=sought.own_data_root), config)


def _of_run(run: RunFolder, sought: Sought) -> ClipSource:
    """Return the clips of a run's data set, with the run's own settings of augmentation."""
    values = run.read_config()
    config = merge(DataConfig(), [section_layer(Layer(str(run.config), values), "data")])
    here = sought.folders
    recorded = values.get("data_root")
    root = Path(recorded) if isinstance(recorded, str) and not sought.own_data_root else here.data_root
    inputs = [here.data_root, *here.input_roots]
    store = find_store(config, root, verify=False, input_roots=inputs)
    own = {"frames": values.get("input_frames"), "seed": values.get("seed"), "epochs": values.get("epochs")}
    return _of_store(store, config, **{key: value for key, value in own.items() if type(value) is int})


def _config_of_store(path: Path, dataset: str) -> DataConfig | None:
    """Return the data set of a store: that of `--dataset`, of the YAML beside the store, or of the program."""
    beside = path.absolute().with_name(f"{path.absolute().name}.yaml")
    named = dataset or (str(beside) if is_file(beside) else "")
    if not named and path.absolute().name in config_names("data"):
        named = path.absolute().name
    return data_settings(named) if named else None


def _of_recordings(config: DataConfig, raw: Path) -> ClipSource:
    reader, entries, classes = open_recordings(config, raw)
    finds = isinstance(reader, FindsClasses)
    labels = [reader.metadata(entry).label if classes and isinstance(reader, FindsClasses) else -1 for entry in entries]
    layout = config.skeleton
    return ClipSource(
        name=name_of_recordings(raw.absolute()),
        where=f"the recordings in {raw}, read as {config.format} with the layout {layout.name}",
        layout=layout,
        classes=classes,
        names=[entry.name for entry in entries],
        labels=np.array(labels, np.int64),
        read=lambda number: read_or_copy(reader, entries[number]),
        has_labels=bool(classes) or not finds,
    )
