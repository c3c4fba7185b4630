"""The readers that are fuzzed: their valid inputs, changes, calls and documented errors.

Reading one input must succeed or raise a documented error; anything else is a finding.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fuzz_changes as changes
import fuzz_intervals as intervals
import fuzz_libraries as libraries
import fuzz_own_files as own
import fuzz_recordings as recordings
from fuzz_changes import Change, Files

from last.utils.errors import UserError

_CHANGED_TWICE, _REPAIRED = 0.3, 0.6  # shares of inputs that are changed more than once; whose checksums are corrected


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: its name in the output and on the command line.
        seeds: makes valid inputs; it may use a folder.
        changes: the changes of a file, by the ending of its name; `*` for all others.
        read: reads the files of a folder.
        fine: returns the documented errors.
        repair: corrects the checksums in the files.
        weight: its number of inputs, relative to others.
    """

    name: str
    seeds: Callable[[Path], list[Files]]
    changes: Mapping[str, Sequence[Change]]
    read: Callable[[Path], object]
    fine: Callable[[], tuple[type[BaseException], ...]] = lambda: (UserError,)
    repair: Callable[[dict[str, bytes]], None] | None = None
    weight: float = 1.0

    def made(self, seeds: Sequence[Files], seed: int, number: int) -> Files:
        """Return input `number`: the first ones are the unchanged valid ones."""
        if number < len(seeds):
            return seeds[number]
        choice = random.Random(f"{seed} {self.name} {number}")
        files = dict(choice.choice(seeds))
        for _ in range(2 if choice.random() < _CHANGED_TWICE else 1):
            path = choice.choice(sorted(files))
            way = choice.choice(self._changes_of(path))
            files[path] = way(choice, files[path])
        if self.repair and choice.random() < _REPAIRED:
            self.repair(files)
        return files

    def _changes_of(self, path: str) -> Sequence[Change]:
        return next((made for ending, made in self.changes.items() if path.lower().endswith(ending)), self.changes["*"])


def _packed_or_not(kind: Sequence[Change]) -> Mapping[str, Sequence[Change]]:
    """Return changes of text and of what is packed in a `.gz` or `.zip`, inside and outside."""
    inside_gz, inside_zip = map(changes.gzipped, kind), map(changes.zipped, kind)
    return {".gz": [*inside_gz, *changes.BYTES], ".zip": [*inside_zip, *changes.BYTES], "*": kind}


def _recordings(
    reader: str, seeds: Callable[[Path], list[Files]], changed: Mapping[str, Sequence[Change]], name: str = ""
) -> Target:
    return Target(name or reader, seeds, changed, recordings.read_with(reader), recordings.fine_for_recordings)


_ARRAYS = {"*": changes.ARRAY}
_JSON_AND_ARRAYS = {".json": changes.JSON, "*": changes.ARRAY}
_ZIPPED_ARRAYS = {"*": [*map(changes.zipped, changes.ARRAY), *changes.BYTES]}
_RUN = {".json": changes.JSON, ".yaml": changes.TEXT, "*": (*changes.TEXT, changes.json_value)}
_CHECKPOINT = {
    "*": [
        *[own.checkpoint_value] * 6,
        *map(changes.zipped, changes.BYTES),
        changes.zipped(changes.operations),
        *changes.BYTES,
    ]
}
_TARGETS = (
    Target("arrays", recordings.array_seeds, _ARRAYS, recordings.read_array, recordings.fine_for_files),
    Target("zips", recordings.zip_seeds, {"*": changes.BYTES}, recordings.read_zip, recordings.fine_for_files),
    Target("pickles", recordings.pickle_seeds, {"*": changes.PICKLE}, recordings.read_pickle, weight=2.0),
    _recordings("pyskl", recordings.pyskl_seeds, {"*": changes.PICKLE}),
    _recordings("ntu", recordings.ntu_seeds, _packed_or_not(changes.TEXT)),
    _recordings("sbu", recordings.sbu_seeds, _packed_or_not(changes.TEXT)),
    _recordings("nw_ucla", recordings.nw_ucla_seeds, _packed_or_not(changes.JSON)),
    _recordings("folder", recordings.folder_seeds, _ARRAYS),
    _recordings("table", recordings.table_seeds, _packed_or_not(changes.TEXT)),
    _recordings("folder", recordings.npz_seeds, _ZIPPED_ARRAYS, name="folder_npz"),
    _recordings("openpose", recordings.openpose_seeds, {"*": changes.JSON}),
    _recordings("coco", recordings.coco_seeds, {"*": changes.JSON}),
    _recordings("mediapipe", recordings.mediapipe_seeds, {"*": changes.JSON}),
    _recordings("kinect_azure", recordings.kinect_azure_seeds, {"*": changes.JSON}),
    _recordings("zed", recordings.zed_seeds, {"*": changes.JSON}),
    _recordings("dlc", recordings.dlc_seeds, _packed_or_not(changes.TEXT)),
    _recordings("tao", recordings.tao_seeds, {"*": changes.JSON}),
    _recordings("ctrgcn", recordings.ctrgcn_seeds, _ZIPPED_ARRAYS),
    Target("intervals", intervals.interval_seeds, {"*": changes.TEXT}, intervals.read_intervals),
    Target("stores", own.store_seeds, _JSON_AND_ARRAYS, own.read_store, repair=own.repair_store),
    Target("reports", own.report_seeds, {"*": changes.JSON}, own.read_report, weight=0.3),
    Target("chunks", own.chunk_seeds, _ZIPPED_ARRAYS, own.read_chunk),
    Target("caches", own.cache_seeds, _JSON_AND_ARRAYS, own.read_cache, repair=own.repair_cache),
    Target("ignore_lists", own.ignore_list_seeds, {"*": changes.TEXT}, own.read_ignore_list, weight=0.3),
    Target("data_yaml", own.data_yaml_seeds, {"*": changes.TEXT}, own.read_data_yaml, weight=0.5),
    Target("recipes", own.recipe_seeds, {"*": changes.TEXT}, own.read_recipe, weight=0.3),
    Target("runs", own.run_seeds, _RUN, own.read_run, weight=0.3),
    Target("checkpoints", own.checkpoint_seeds, _CHECKPOINT, own.read_checkpoint, weight=0.5),
)
# By the package that reads them.
_LIBRARIES = {
    "pyarrow": _recordings("table", libraries.parquet_seeds, {"*": changes.BYTES}, name="parquet"),
    "h5py": _recordings("sleap", libraries.sleap_seeds, {"*": changes.BYTES}),
    "pybvh": _recordings("bvh", libraries.bvh_seeds, {"*": changes.TEXT}),
    "ezc3d": _recordings("c3d", libraries.c3d_seeds, {"*": changes.BYTES}),
}
_INSTALLED = [target for package, target in _LIBRARIES.items() if libraries.is_installed(package)]
TARGETS = {target.name: target for target in (*_TARGETS, *_INSTALLED)}
