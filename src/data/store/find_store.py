"""Search for the store of a data set, with advice if there is none."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...settings.data import DataConfig, data_settings, how_to_prepare
from ...skeleton import Layout
from ...utils.config import YAML_ENDINGS
from ...utils.errors import UserError
from ...utils.files import read_json
from ...utils.program import naming_program, program
from ...utils.root_folders import RootFolders, folders_below, is_file, outermost
from .format import HEADER_FILE
from .reader import Store, open_store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundStore:
    """A folder with the header of a prepared data set.

    Attributes:
        path: the folder.
        name: the name of the data set, or of the folder if the header has none.
        clips: the number of clips; 0 if there is a problem.
        problem: why it cannot be opened; empty if it can.
    """

    path: Path
    name: str
    clips: int = 0
    problem: str = ""


def find_store(config: DataConfig, data_root: Path, verify: bool = True, input_roots: Sequence[Path] = ()) -> Store:
    """Open the store of a data set, or of the larger set that contains it.

    It is `data_root` itself if that is a store, or `<data_root>/<name>`; otherwise the first store of that name found
    below `data_root` and `input_roots`, whatever its folder is called; stores that can be opened come first.

    Args:
        config: the data set.
        data_root: the folder of prepared data sets, or one of them.
        verify: compare the checksums of its files.
        input_roots: further folders to search.

    Raises:
        UserError: there is no store (the message has the searched folders, how to get the data and how to try LAST
            without them), or the store is damaged or does not fit the configuration.
    """
    if data_root.is_file():
        raise UserError(f"{data_root} is a file. --data_root names a folder: of prepared data sets, or one of them.")
    names = [name for name in (config.name, config.subset_of) if name]
    for folder in (data_root, *(data_root / name for name in names)):
        if (folder / HEADER_FILE).exists():
            return _fitting(open_store(folder, verify), config)
    found = list(find_stores([data_root, *input_roots]))
    for name in names:
        same = sorted((each for each in found if each.name == name), key=lambda each: bool(each.problem))
        if same:
            _log.info(f"The data set {name} is read from {same[0].path}.")
            _warn_if_ambiguous(same)
            return _fitting(open_store(same[0].path, verify), config)
    raise UserError(_not_found(config, names, [data_root, *input_roots], found))


def store_named(named: str, config: DataConfig, folders: RootFolders, *, only_data_root: bool = False) -> Store:
    """Return the store of a data set where `train` would find it: also beside its YAML, and in the input folders.

    Args:
        named: the data set's name, or its YAML.
        config: its description.
        folders: where data sets are.
        only_data_root: search no input folder.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    inputs = []
    beside = Path(named).absolute().parent / config.name
    if named.endswith(YAML_ENDINGS) and is_file(beside / HEADER_FILE):
        inputs = [beside]
    if not only_data_root:
        inputs += folders.input_roots
    config = config if config.how_to_get else replace(config, how_to_get=how_to_prepare(named))
    return find_store(config, folders.data_root, verify=False, input_roots=inputs)


def find_stores(roots: Sequence[Path]) -> Iterator[FoundStore]:
    """Yield the prepared data sets below some folders, the nearest to a root first; the search is limited."""
    for folder in folders_below(roots, HEADER_FILE):
        name = folder.name
        try:
            named = read_json(folder / HEADER_FILE).get("name")
            name = named if isinstance(named, str) else name
            yield FoundStore(folder, name, len(open_store(folder, verify=False)))
        except UserError as error:
            yield FoundStore(folder, name, problem=str(error))


def _warn_if_ambiguous(same: Sequence[FoundStore]) -> None:
    """Warn which of several stores with the same name is used."""
    if len(same) > 1:
        others = ", ".join(str(each.path) for each in same[1:])
        _log.warning(
            "There are several prepared data sets %r. %s is used; choose another with --data_root: %s.",
            *(same[0].name, same[0].path, others),
        )


def _not_found(config: DataConfig, names: Sequence[str], roots: Sequence[Path], found: Sequence[FoundStore]) -> str:
    """Return the message for a data set without a store."""
    looked = ", ".join(str((roots[0] / name).absolute()) for name in names)
    searched = ", ".join(map(str, outermost(roots)))
    others = "; ".join(f"{each.name} in {each.path}" for each in found if not each.problem)
    unusable = ", ".join(str(each.path) for each in found if each.problem)
    called = program()
    remedy = config.how_to_get.strip() or how_to_prepare("YAML")
    return (
        f"There is no prepared data set {config.name!r}. Looked for {looked}, and searched the folders below "
        f"{searched}."
        + (f" Found there: {others}." if others else "")
        + (f" Unreadable, as `{called} doctor` explains: {unusable}." if unusable else "")
        + f"\n{naming_program(remedy)}\n"
        "If it is already prepared, name its folder with --data_root.\n"
        f"To try everything without a download:\n  {called} demo"
    )


def _fitting(store: Store, config: DataConfig) -> Store:
    """Return `store` if its layout and classes are those of the configuration, or of the larger data set."""
    expected = config
    if store.name != config.name and store.name == config.subset_of:
        larger = data_settings(store.name)
        expected = replace(config, name=larger.name, classes=larger.classes)
    found = {"data set": store.name, "layout": store.skeleton, "classes": store.classes}
    wanted = {"data set": expected.name, "layout": expected.skeleton, "classes": list(expected.classes)}
    for what, value in found.items():
        if value != wanted[what]:
            raise UserError(
                f"The store {store.path} does not fit the configuration: its {what} {_short(value)}, expected "
                f"{_short(wanted[what])}. Prepare the data again or name the data set it was made for."
            )
    return store


def _short(value: object) -> str:
    text = f"are {value}" if isinstance(value, list) else f"is {value if isinstance(value, Layout) else repr(value)}"
    return text if len(text) < 200 else f"{text[:200]}..."
