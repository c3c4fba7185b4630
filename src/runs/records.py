"""Records of finished runs and of measurements: a few kilobytes of JSON each, to which documents and papers refer.

A record holds what a run computed with and what came out: settings, seed, the metrics of every epoch, machine, commit
and command. It holds nothing of the recordings, such as names of clips. It has a checksum of its own content, so that a
figure changed by hand is found.
"""

import hashlib
import json
import logging
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tasks.measures import Measures, measures_from
from ..utils.errors import UserError
from ..utils.files import make_folder, read_json, write_text
from ..utils.machine import machine_facts
from ..utils.versions import git_commit, versions
from .folder import ALL_EPOCHS, RunFolder
from .results import Run, read_run

_log = logging.getLogger(__name__)

FORMAT = "last-result"
FORMAT_VERSION = 1
ENDING = ".json"
_LIMIT_BYTES = 1 << 20
_LONGEST_TEXT = 200  # of a setting; a longer one, such as the letters of a listed split, is replaced by its digest
_DECIMALS = 4
# Settings of the machine or of what is shown, and paths.
_LEFT_OUT = re.compile(
    r"environment|data_root|output_root|input_roots|tensorboard|max_hours|checkpoint\..+|distributed\.timeout_minutes"
    r"|hardware\.(data_placement|num_workers|pin_memory|prefetch_factor)|data\.how_to_get"
    r"|distillation\.(teachers|cache)|data\.own_(source_)?layout\..+|seed"
)
_COLUMNS = re.compile(r"epoch|learning_rate|(train|test|val|ema_test|ema_val)_\w+|skipped_batches|seconds")
_OF_SUMMARY = (
    *("parameters", "training_clips", "test_clips", "weights", "statistics", "validation", "processes"),
    *("skipped_batches", "train_seconds", "clips_per_second", "command", "machine", "versions", "finished"),
)
_OF_TEACHER = ("model", "parameters", "dataset", "split", "seed", "fingerprint", "top1")
_FACTS = ("model", "dataset", "split", "subset", "seed", "epoch", "weights", "statistics", "parameters", "date")
_MOST_FIGURES = 2000
_TESTED = re.compile(r"([^\s:]+:[^\s:]+)(?::([1-9]\d{0,3}))?")
TRAINING, MEASUREMENT = "training", "measurement"
_NEEDED = ("machine", "command", "training_clips")  # runs of earlier versions lack them


@dataclass(frozen=True)
class Record:
    """A record and the name of its file.

    Attributes:
        name: the name of the file, without its ending.
        content: its values, as in the file.
    """

    name: str
    content: Mapping[str, Any]

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the settings by dotted key, without empty ones."""
        settings: Mapping[str, Any] = self.content["config"]
        return settings

    @property
    def measures(self) -> Measures:
        """Return the metrics of the run's task."""
        return measures_from(self.content["measures"], self.name)

    def figure(self, which: str, metric: str) -> float:
        """Return a metric of the `best` or the `final` epoch on the test part."""
        return float(self.content[which][metric])

    def column(self, name: str) -> list[float]:
        """Return a column of the metrics of all epochs, NaN where it is not known."""
        index = self.content["epochs"]["columns"].index(name)
        values = [row[index] for row in self.content["epochs"]["rows"]]
        return [math.nan if value is None else float(value) for value in values]

    def text(self) -> str:
        """Return the content of the file: a line for each key, and for each epoch."""
        return _as_text(self.content)


def record_of(path: Path) -> Record:
    """Return the record of a finished run.

    Raises:
        UserError: the run did not end, its files are damaged or incomplete, or they do not agree.
    """
    folder, run = RunFolder(path), read_run(path)
    _refuse_unfinished(run)
    summary = folder.read_summary()
    _refuse_gaps(run, summary)
    missing = [key for key in _NEEDED if key not in summary]
    if missing:
        _log.warning(
            "%s is of an earlier version of LAST, which did not note %s; its record lacks that.",
            *(path, ", ".join(missing)),
        )
    commit = str(summary.get("git_commit", ""))
    if not commit or commit.endswith("-dirty"):
        state = "of a checkout with changes that are in no commit" if commit else "not of a commit"
        _log.warning("%s was trained by code %s, so it cannot be made again exactly.", path, state)
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": TRAINING,
        **{key: getattr(run, key) for key in ("model", "dataset", "split", "seed")},
        "teachers": [{key: each.get(key) for key in _OF_TEACHER} for each in summary.get("teachers", ())],
        "config": _settings(run),
        "measures": run.measures.facts(),
        "commit": commit,
        **{key: summary.get(key) for key in _OF_SUMMARY},
        "epochs_planned": run.epochs,
        "epochs_trained": run.epochs_done,
        "ended": summary.get("ended", ALL_EPOCHS),
        "best_epoch": int(summary["best_epoch"]),
        **{part: {name: summary[f"{part}_{name}"] for name in run.measures.names} for part in ("best", "final")},
        "epochs": _epochs(run),
    }
    return Record(_file_name(content), {**content, "checksum": _checksum(content)})


def record_of_figures(path: Path, name: str, command: str = "", tested: Sequence[str] = ()) -> Record:
    """Return a record of the figures in a JSON file that a command wrote, such as `metrics.json` of `evaluate`.

    Only numbers are taken, with the keys under which they are, and what `facts` says of model and data. Machine and
    commit are those of this process.

    Args:
        path: the file.
        name: what was measured, in a few words; documents ask for the record by it.
        command: the command that measured it.
        tested: the test parts that the figures were measured on, if `facts` does not say it, or says less: each as
            `DATASET:SPLIT`, or `DATASET:SPLIT:COUNT` if there were several tests.

    Raises:
        UserError: the file cannot be read, or has no figures, or too many of them, or a test part is not written so.
    """
    values = read_json(path)
    facts = values.get("facts")
    known = facts if isinstance(facts, Mapping) else {}
    figures = dict(_numbers({key: value for key, value in values.items() if key != "facts"}))
    if not 0 < len(figures) <= _MOST_FIGURES:
        raise UserError(
            f"{path} has {len(figures)} figures, and a record holds 1 to {_MOST_FIGURES}. Record a summary of a "
            "measurement, such as metrics.json of an evaluation."
        )
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": MEASUREMENT,
        "name": name,
        "facts": {key: str(known[key]) for key in _FACTS if key in known},
        **_tested(tested),
        "command": command,
        "commit": git_commit(),
        "machine": machine_facts(),
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(path.stat().st_mtime)),
        "figures": figures,
    }
    digest = hashlib.sha256(json.dumps([name, figures], sort_keys=True).encode()).hexdigest()[:8]
    return Record(f"{_slug(name)}-{digest}", {**content, "checksum": _checksum(content)})


def amended(record: Record, tested: Sequence[str]) -> Record:
    """Return the record of a measurement with other test parts, and with the checksum of that; its figures stay.

    Raises:
        UserError: the record is of a run, which says itself what it was tested on, or a test part is not `A:B:COUNT`.
    """
    if record.content["kind"] != MEASUREMENT:
        raise UserError(f"{record.name} is the record of a run, which says itself what it was tested on.")
    content = {key: value for key, value in record.content.items() if key not in ("tested", "checksum")} | _tested(
        tested
    )
    return Record(record.name, {**content, "checksum": _checksum(content)})


def _tested(parts: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the key of a record for test parts, with the number of tests on each; empty if none is given."""
    found: dict[str, int] = {}
    for text in parts:
        match = _TESTED.fullmatch(text)
        if match is None or match[1] in found:
            what = "is given twice" if match else "is not DATASET:SPLIT or DATASET:SPLIT:COUNT, such as nw_ucla:xview:6"
            raise UserError(f"--tested {text} {what}.")
        found[match[1]] = int(match[2] or 1)
    return {"tested": found} if found else {}


def _numbers(values: Any, prefix: str = "") -> Iterator[tuple[str, float | int]]:
    """Yield the finite numbers in nested mappings and lists, with their dotted keys."""
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for key, value in pairs:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{key}", value
        else:
            yield from _numbers(value, f"{prefix}{key}.")


def write_record(record: Record, folder: Path) -> Path:
    """Write a record into a folder, which is made if it is missing, and return the file.

    A record of the same run or figures that is there is replaced.

    Raises:
        UserError: it cannot be written.
    """
    path = make_folder(folder) / f"{record.name}{ENDING}"
    write_text(path, record.text())
    return path


def read_record(path: Path) -> Record:
    """Return the record in a file.

    Raises:
        UserError: it cannot be read, is no record, is of a later version, or was changed after it was written.
    """
    content = read_json(path, _LIMIT_BYTES)
    if content.get("format") != FORMAT:
        raise UserError(f"{path} is not a record of a run. Records are written by `runs record`.")
    if content.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has the format version {content.get('format_version')}; this program reads version "
            f"{FORMAT_VERSION}. Use the version of LAST that wrote it."
        )
    if content.get("checksum") != _checksum(content):
        raise UserError(
            f"{path} was changed after it was written: its checksum is wrong. Restore the file, or record the run "
            "again."
        )
    return Record(path.name.removesuffix(ENDING), content)


def read_records(folder: Path) -> list[Record]:
    """Return the records in a folder, sorted by the names of their files.

    Raises:
        UserError: there is no such folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Records are written by `runs record RUN --out {folder}`.")
    return [read_record(path) for path in sorted(folder.glob(f"*{ENDING}"))]


def _refuse_unfinished(run: Run) -> None:
    if run.problems:
        raise UserError(f"The run {run.path} cannot be recorded: {' '.join(run.problems)}")
    if not run.finished:
        state, remedy = ("diverged", "") if run.state == "diverged" else ("is not finished", " Resume it first.")
        raise UserError(f"The run {run.path} {state}, so it has no result to record.{remedy}")


def _refuse_gaps(run: Run, summary: Mapping[str, Any]) -> None:
    """Refuse a run whose logbook lacks epochs, or ends with other figures than the summary."""
    trained = summary.get("epochs_trained", run.epochs)
    epochs = [int(row["epoch"]) for row in run.rows]
    if epochs != list(range(len(epochs))) or len(epochs) != trained:
        raise UserError(
            f"The run {run.path} has the metrics of {len(epochs)} epochs in metrics.jsonl, and trained {trained}. A "
            "record holds every epoch, so this run cannot be recorded."
        )
    primary = f"{run.weights_prefix}test_{run.measures.primary}"
    in_logbook, in_summary = run.rows[-1].get(primary), summary[f"final_{run.measures.primary}"]
    if in_logbook is not None and not math.isclose(in_logbook, in_summary, abs_tol=1e-9):
        raise UserError(
            f"The run {run.path} ends with {in_logbook:.2f} in metrics.jsonl and with {in_summary:.2f} in "
            "summary.json. One of the files is of another run: restore it."
        )


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run, without paths, settings of the machine, and what is empty or not used.

    Defaults are included, since a later version may have others.
    """
    protocol, split = "data.protocols.", run.split
    used = {
        key: value
        for key, value in run.config.items()
        if not _LEFT_OUT.fullmatch(key)
        and value not in ("", [], {})
        and (not key.startswith(protocol) or key.startswith(f"{protocol}{split}."))
        and (run.teachers or run.config.get("distillation.peers") or not key.startswith("distillation."))
        and (run.config.get("data.intervals.file") or not key.startswith("data.intervals."))
    }
    return {key: _shortened(key, used[key]) for key in sorted(used)}


def _shortened(key: str, value: Any) -> Any:
    """Return a setting without folders, and a long text as its digest."""
    if not isinstance(value, str):
        return value
    if key == "init_from":
        return "/".join(Path(value).parts[-3:]) if Path(value).parent != Path() else value
    return value if len(value) <= _LONGEST_TEXT else f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def _epochs(run: Run) -> dict[str, Any]:
    """Return the metrics of all epochs as columns and rows."""
    columns = [name for name in max(run.rows, key=len) if _COLUMNS.fullmatch(name)]
    return {"columns": columns, "rows": [[_rounded(row.get(name)) for name in columns] for row in run.rows]}


def _rounded(value: float | None) -> float | int | None:
    if value is None:
        return None
    return int(value) if value.is_integer() else round(value, _DECIMALS)


def _file_name(content: Mapping[str, Any]) -> str:
    """Return the name of a record's file, which depends on the run alone: what was trained, its seed, and a digest."""
    identity = [content[key] for key in ("config", "teachers", "seed", "commit", "finished", "final")]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    words = [content["model"], content["dataset"], content["split"], f"seed{content['seed']}", digest]
    return "-".join(map(_slug, words))


def _slug(word: object) -> str:
    """Return a text as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", str(word)).lstrip(".")[:40] or "_"


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's values, whatever their order and form in the file."""
    body = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _as_text(content: Mapping[str, Any]) -> str:
    """Return a record as JSON with a line for each key, setting and epoch, so that a difference is a line."""
    lines = [f"{json.dumps(key)}: {_value_text(key, value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(f"  {line}" for line in lines) + "\n}\n"


def _value_text(key: str, value: Any) -> str:
    if key in ("config", "figures"):
        return _block("{", [f"{json.dumps(name)}: {_compact(each)}" for name, each in value.items()], "}")
    if key == "epochs":
        rows = _block("[", [_compact(row) for row in value["rows"]], "]")
        return f'{{"columns": {_compact(value["columns"])}, "rows": {rows}}}'
    return _compact(value)


def _block(opening: str, lines: Sequence[str], closing: str) -> str:
    return (
        f"{opening}\n" + ",\n".join(f"    {line}" for line in lines) + f"\n  {closing}" if lines else opening + closing
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
