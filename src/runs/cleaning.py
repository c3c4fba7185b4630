"""What `runs clean` can free: what it is, why it can go, what is kept and why, and the removal.

Nothing outside the folders of runs and data sets is touched, no link is followed, and a folder is removed only if it
holds nothing but what LAST writes there.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..settings.distillation import teachers_in
from ..utils.errors import UserError
from ..utils.leftovers import abandoned
from ..utils.locks import LOCK_FILE, is_locked, sole_writer
from ..utils.system_errors import reason
from .folder import RunFolder
from .history import run_folders
from .results import places_of_teacher
from .teacher_output_files import OUTPUT_FOLDER, TeacherOutputFiles

UNFINISHED, SUPERSEDED, PARTIAL = "unfinished", "superseded", "partial"
CACHES, CHUNKS, LEFTOVERS = "caches", "chunks", "leftovers"
KINDS = {
    UNFINISHED: "runs that did not end",
    SUPERSEDED: "epochs that a run had before it was resumed from an earlier one",
    PARTIAL: "states within an epoch",
    CACHES: "outputs of teachers, which a run computes again when it needs them",
    CHUNKS: "chunks of preparations that have ended",
    LEFTOVERS: "temporary files of processes that were killed",
}
_DAY_S = 24 * 3600.0
_FILES_OF_RUN = re.compile(
    r"config\.yaml|task\.json|origin\.json|log\.txt|metrics\.(jsonl|csv)|training_curve\.png|confusion\.(csv|png)"
    r"|divergence\.json|checkpoints|tensorboard|superseded(_\d+)?|\.lock|\..+\.last-\d+\.tmp"
)


@dataclass(frozen=True)
class Rules:
    """Which things may go.

    Attributes:
        kinds: some of `KINDS`.
        older_than_days: only what was last written so many days ago.
        keep_last: how many of the newest runs are left as they are.
    """

    kinds: Collection[str] = tuple(KINDS)
    older_than_days: float = 7.0
    keep_last: int = 1


@dataclass(frozen=True)
class Removable:
    """A file or folder that can go.

    Attributes:
        kind: one of `KINDS`.
        path: the file or folder.
        size_bytes: of its files together.
        written: the time of the last write to a file of it, in seconds since 1970.
        reason: why it can go.
        owner: the folder whose lock its users hold.
    """

    kind: str
    path: Path
    size_bytes: int
    written: float
    reason: str
    owner: Path

    @property
    def age_days(self) -> float:
        """Return the days since the last write."""
        return max(0.0, time.time() - self.written) / _DAY_S


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        removable: what can go, in the order of the kinds.
        kept: paths that would go by age and kind, each with the reason why it stays.
    """

    removable: Sequence[Removable] = ()
    kept: Sequence[tuple[Path, str]] = ()


@dataclass
class _Found:
    """The runs of an output folder, and what can go so far."""

    root: Path
    runs: Sequence[RunFolder]
    rules: Rules
    removable: list[Removable] = field(default_factory=list)
    kept: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, kind: str, path: Path, owner: Path, why: str, refusal: str = "") -> None:
        """Note what can go, or stays for the reason `refusal`; nothing that is too young or of another kind."""
        if kind not in self.rules.kinds:
            return
        size, written = _extent(path)
        item = Removable(kind, path, size, written, why, owner)
        if item.age_days < self.rules.older_than_days:
            return
        refusal = refusal or _link_problem(path, self.root) or _lock_problem(owner, self.root)
        if refusal:
            self.kept.append((path, refusal))
        else:
            self.removable.append(item)


def survey(output_root: Path, data_root: Path, rules: Rules) -> Survey:
    """Return what can go below the folder of runs and the folder of prepared data sets; nothing is changed.

    Raises:
        UserError: the folder of runs cannot be read, or is a run.
    """
    if RunFolder(output_root).config.exists():
        raise UserError(
            f"{output_root} is a run. Name the folder that holds the runs with --output_root, which is probably "
            f"{output_root.absolute().parent}."
        )
    found = _Found(output_root, run_folders(output_root), rules)
    archives = {path for run in found.runs for path in run.archives()}
    whole = [run for run in found.runs if run.path not in archives]
    for run in whole[rules.keep_last :]:
        _survey_run(found, run)
    _survey_caches(found, whole)
    _survey_chunks(found, data_root)
    _keep_teachers(found)
    order = list(KINDS)
    return Survey(sorted(found.removable, key=lambda item: (order.index(item.kind), str(item.path))), found.kept)


def remove(items: Iterable[Removable], output_root: Path) -> Iterator[tuple[Removable, str]]:
    """Remove things, and yield each with the reason why it could not be removed, which is empty if it was.

    A thing that another process uses by now, or that was written to since it was found, is left as it is.
    """
    for item in items:
        try:
            with sole_writer(item.owner, "another process uses it by now", removes=item.kind == CHUNKS):
                changed = _extent(item.path) != (item.size_bytes, item.written)
                problem = "it has changed by now" if changed else _lock_problem(item.owner.parent, output_root)
                if not problem:
                    _remove_content(item.path)
            if not problem and item.path.is_dir():
                shutil.rmtree(item.path)  # only its lock is left, which no one holds now
        except UserError as error:
            problem = str(error)
        except OSError as error:
            problem = reason(error)
        yield item, problem


# --- what can go


def _survey_run(found: _Found, run: RunFolder) -> None:
    """Add what can go of a run: all of it if it did not end, else what its end made useless."""
    ended = run.finished
    rest_stays = ended or UNFINISHED not in found.rules.kinds
    if not rest_stays:
        before = len(found.removable)
        why = "diverged" if run.divergence.exists() else "did not end"
        found.add(UNFINISHED, run.path, run.path, f"the run {why}; its checkpoints go too", _foreign_problem(run))
        if len(found.removable) > before:
            return
    has_own = any(path.exists() for path in (run.last, run.best))
    for archive in run.archives():
        refusal = "" if has_own else f"{run.path.name} has no other checkpoint"
        refusal = refusal or _foreign_problem(RunFolder(archive))
        found.add(SUPERSEDED, archive, run.path, "the run was resumed from an earlier epoch than these", refusal)
    if run.partial.exists():
        why = "the run has ended" if ended else "resuming the run would begin again after its last finished epoch"
        refusal = "" if has_own else f"it is the only checkpoint of {run.path.name}"
        found.add(PARTIAL, run.partial, run.path, why, refusal)
    for folder in (run.path, run.checkpoints):
        for path in abandoned(folder):
            found.add(LEFTOVERS, path, run.path, "a process was killed while it wrote this")


def _survey_caches(found: _Found, runs: Sequence[RunFolder]) -> None:
    """Add the caches in the output folder and beside the runs of sequences."""
    holders = {found.root, *(run.path.parent for run in runs), *(run.path.parent.parent for run in runs)}
    inside = [each for each in sorted(holders) if each == found.root or found.root in each.parents]
    folders = [path for each in inside for path in _subfolders(each / OUTPUT_FOLDER)]
    if not folders:
        return
    reader = next((run for run in runs if _teachers_of(run) and is_locked(run.path)), None)
    refusal = f"the run {reader.path.name}, which is in training, may read it" if reader else ""
    for path in folders:
        files = TeacherOutputFiles(path)
        if not files.outputs.exists():
            continue
        known = {*(each.name for each in files.all()), LOCK_FILE}
        why = "runs compute it again when they need it" if files.header.exists() else "its computation did not end"
        found.add(CACHES, path, path, why, refusal or _unknown_names(path, known.__contains__))


def _survey_chunks(found: _Found, data_root: Path) -> None:
    """Add the chunks that are left beside complete stores."""
    from ..data.store.format import CHUNK_FOLDER, HEADER_FILE  # it imports NumPy, which `runs --help` does not need

    for store in _subfolders(data_root):
        chunks = store / CHUNK_FOLDER
        if (store / HEADER_FILE).is_file() and chunks.is_dir():
            refusal = _link_problem(chunks, data_root) or _unknown_names(chunks, _is_chunk)
            found.add(CHUNKS, chunks, store, "the store beside them is complete", refusal)


def _is_chunk(name: str) -> bool:
    return name.endswith((".npz", ".tmp"))


def _keep_teachers(found: _Found) -> None:
    """Keep what holds a teacher of a distilled run that is kept, and then the teachers of that, and so on."""
    teachers = {run.path: _teachers_of(run) for run in found.runs}
    while True:
        going = [item.path for item in found.removable]
        needed = {
            checkpoint: run
            for run, checkpoints in teachers.items()
            for checkpoint in checkpoints
            if not any(path == run or path in run.parents for path in going)
        }
        used = {
            item.path: run.name
            for item in found.removable
            for checkpoint, run in needed.items()
            if _is_within(checkpoint, item.path)
        }
        if not used:
            return
        found.kept += [(path, f"it is a teacher of {student}") for path, student in used.items()]
        found.removable = [item for item in found.removable if item.path not in used]


# --- why something stays


def _link_problem(path: Path, root: Path) -> str:
    """Return why a path stays that is a link, or lies behind one below the root."""
    below = [each for each in (path, *path.parents) if root in each.parents]
    return "links are not followed" if any(each.is_symlink() for each in below) else ""


def _lock_problem(owner: Path, root: Path) -> str:
    """Return why something stays whose folder, or a folder around it, another process has locked."""
    around = [each for each in (owner, *owner.parents) if each in (owner, root) or root in each.parents]
    return "another process uses it" if any(is_locked(each) for each in around) else ""


def _foreign_problem(run: RunFolder) -> str:
    """Return why a folder stays that is not a run of LAST, or holds more than a run."""
    if not _names_model_and_data(run):
        return "its config.yaml is not of a run of LAST"
    allowed = _FILES_OF_RUN.fullmatch
    return (
        _unknown_names(run.path, lambda name: bool(allowed(name)))
        or _unknown_names(run.checkpoints, lambda name: name.endswith((".pth", ".tmp")))
        or next(filter(None, (_foreign_problem(RunFolder(each)) for each in run.archives())), "")
    )


def _names_model_and_data(run: RunFolder) -> bool:
    try:
        config = run.read_config()
    except (UserError, OSError):
        return False
    sections = [config.get(name) for name in ("model", "data")]
    return all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in sections)


def _unknown_names(folder: Path, is_known: Callable[[str], bool]) -> str:
    """Return why a folder stays in which there is something else than what LAST writes there."""
    try:
        others = sorted(each.name for each in folder.iterdir() if not is_known(each.name))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be read: {reason(error)}"
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f"it holds {others[0]}{more}, which is not a part of it" if others else ""


def _teachers_of(run: RunFolder) -> list[Path]:
    """Return the checkpoints at which the teachers of a run may be."""
    try:
        config = run.read_config()
    except (UserError, OSError):
        return []
    return [place for each in teachers_in(config) for place in places_of_teacher(run.path, each)]


# --- files and folders


def _is_within(path: Path, folder: Path) -> bool:
    try:
        resolved, outer = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return True
    return resolved == outer or outer in resolved.parents


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that is no link; none if it cannot be read."""
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir()) if not folder.is_symlink() else []
    except OSError:
        return []


def _extent(path: Path) -> tuple[int, float]:
    """Return the size of the files of a path in bytes, and the time of the last write to one of them.

    Links count as such. A folder without files has the time of its own last write, and a lock counts as no file.
    """
    if path.is_symlink() or not path.is_dir():
        facts = path.lstat()
        return facts.st_size, facts.st_mtime
    size, written = 0, 0.0
    for folder, _, names in os.walk(path):
        for name in names:
            if name == LOCK_FILE:
                continue
            with suppress(OSError):
                facts = (Path(folder) / name).lstat()
                size, written = size + facts.st_size, max(written, facts.st_mtime)
    return size, written or path.lstat().st_mtime


def _remove_content(path: Path) -> None:
    """Remove a file, or all in a folder but its lock."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for each in path.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != LOCK_FILE:
            each.unlink()
