"""The report of a data set's preparation, what was kept and left out and why: as JSON, as text, and as table rows."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig
from ...utils.errors import UserError
from ...utils.files import read_json, write_json, write_text
from ...utils.names import first_few
from ...utils.numbers import counted
from ..store.clip import FULL, MISSING
from ..store.clip_faults import still_clips
from ..store.format import Rows
from ..store.suitability import Suitability, suitability

_SKIPPED_TYPES = (str, bool, int, str)  # types of the fields of a skipped recording in JSON
_SHOWN = 3  # names in a remark
REPORT_FILE, TEXT_FILE = "report.json", "report.txt"


class SkippedRecording(NamedTuple):
    """One recording that was left out.

    Attributes:
        name: the recording.
        damaged: whether it is damaged; otherwise it is well-formed, but has nothing to learn from.
        line: the line of the damage; 0 for the whole file.
        reason: why it was left out.
    """

    name: str
    damaged: bool
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.name}, line {self.line}: {self.reason}" if self.line else f"{self.name}: {self.reason}"


@dataclass
class PreparationReport:
    """Report of the preparation of a raw folder.

    Attributes:
        name, raw, out: the data set, the folder of its recordings and the folder of its store.
        found, input_bytes: number of recordings, and their uncompressed size.
        kept, two_bodies, frames: number of clips in the store, of those with two bodies, and of all frames.
        left_out: the damaged and the empty recordings.
        ignored, ignore_list: the recordings on the ignore list, and the length of that list.
        unselected: number of recordings outside the data set's `select`.
        crowded: recordings with more bodies than `data.bodies`, each with the number of those that were not kept.
        retimed: recordings whose frames were not at equal intervals, each with what was repaired.
        joints, joints_missing, joints_uncertain: number of joints of present bodies in all frames, of those that are
            missing, and of those with a confidence below 1.
        recordings: the number of long recordings that the clips were cut from.
        cut: what was changed or left out when they were cut, each with its number.
        mapped: the layouts, such as `kinect_azure32 to ntu25`, if the joints of the recordings were mapped.
        missing_joints: joints to which none was mapped.
        frame_rates: the lowest and the highest number of frames per second; empty if that of a clip is unknown.
        unknown_rates: number of clips that kept their frames in spite of `data.fps`, since their rate is unknown.
        parts: for each protocol, the number of training and of test clips.
        classes: for each class, its number of clips in total and in each part of each protocol.
        warnings: warnings that training would give, and one of clips that `data.fps` could not resample.
        seconds, read_bytes: duration of this run and bytes it read; an earlier run may have read the rest.
        prepared_before: whether this is the report of a store that already existed.
    """

    name: str
    raw: str
    out: str
    found: int
    input_bytes: int
    kept: int = 0
    two_bodies: int = 0
    frames: int = 0
    left_out: list[SkippedRecording] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    ignore_list: int = 0
    unselected: int = 0
    crowded: dict[str, int] = field(default_factory=dict)
    retimed: dict[str, str] = field(default_factory=dict)
    joints: int = 0
    joints_missing: int = 0
    joints_uncertain: int = 0
    frame_rates: list[float] = field(default_factory=list)
    unknown_rates: int = 0
    recordings: int = 0
    cut: dict[str, int] = field(default_factory=dict)
    mapped: str = ""
    missing_joints: list[str] = field(default_factory=list)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: list[dict[str, str | int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    read_bytes: int = 0
    prepared_before: bool = False

    @property
    def damaged(self) -> list[SkippedRecording]:
        """Return the recordings that could not be read."""
        return [each for each in self.left_out if each.damaged]

    @property
    def dropped(self) -> list[SkippedRecording]:
        """Return the recordings that are well-formed, but have nothing to learn from."""
        return [each for each in self.left_out if not each.damaged]

    def untrainable(self, split: str) -> str:
        """Return why these clips cannot be trained on, with a remedy; empty if they can.

        A data set without protocols can be prepared, since one can be added later.

        Args:
            split: the default protocol; empty if the data set names none.
        """
        trained = [name for name, part in self.parts.items() if part["train"] and part["test"]]
        if self.parts and not trained:
            return "No protocol can be trained on these clips."
        if not split or not self.parts or split in trained:
            return ""
        others = f"Write another one as data.split: {' or '.join(trained)}"
        if split not in self.parts:
            return f"The default protocol, data.split: {split}, does not exist. {others}."
        return f"The default protocol, data.split: {split}, has an empty part. {others}, or change its values."

    @property
    def megabytes_per_second(self) -> float:
        """Return the reading speed of this run."""
        return self.read_bytes / 1e6 / self.seconds if self.seconds else 0.0

    def count(self, clips: NDArray[np.void], config: DataConfig, hint: str = "") -> None:
        """Fill in the numbers from the store's index, and the warnings that training would give.

        Args:
            clips: the index.
            config: the data set.
            hint: advice if clips are in no part of a protocol.
        """
        self.kept, self.frames = len(clips), int(clips["frames"].sum())
        self.two_bodies = int((clips["bodies"] == 2).sum())
        lowest, highest = float(clips["fps"].min()), float(clips["fps"].max())
        self.frame_rates = [round(lowest, 3), round(highest, 3)] if lowest else []
        columns = {"clips": clips["label"]}
        found = suitability(clips, config)
        self.parts, self.warnings = {}, _warnings(found, config, hint)
        if config.fps and (clips["fps"] == 0).any():
            self.unknown_rates = int((clips["fps"] == 0).sum())
            self.warnings.append(
                f"{counted(self.unknown_rates, 'clip')} of {self.kept:,} could not be brought to data.fps and kept all "
                "frames, since the frame rate of the recordings is unknown: give it as data.source_fps."
            )
        if stills := still_clips(clips):
            self.warnings.append(stills)
        for protocol, parts in ((each.protocol, each.parts) for each in found):
            self.parts[protocol] = {"train": len(parts.train), "test": len(parts.test)}
            columns[f"{protocol} train"] = clips["label"][parts.train]
            columns[f"{protocol} test"] = clips["label"][parts.test]
        counts = {name: np.bincount(labels, minlength=len(config.classes)) for name, labels in columns.items()}
        self.classes = [
            {"class": name, **{column: int(each[label]) for column, each in counts.items()}}
            for label, name in enumerate(config.classes)
        ]

    def count_joints(self, rows: Rows) -> None:
        """Add the joints of clips to the numbers of missing and uncertain ones."""
        self.joints += int(rows.valid.sum()) * rows.joints.shape[1]
        if rows.confidence is not None:
            confidence = rows.confidence[rows.valid]
            self.joints_missing += int((confidence == MISSING).sum())
            self.joints_uncertain += int(((confidence != MISSING) & (confidence != FULL)).sum())

    def summary(self) -> list[tuple[str, str]]:
        """Return the rows of a short table: descriptions and numbers."""
        reasons = Counter(each.reason for each in self.dropped)
        rows = [
            ("recordings found", f"{self.found}"),
            *([("long recordings cut", f"{self.recordings}")] if self.recordings else []),
            *((f"  {what}", f"{number}") for what, number in self.cut.items()),
            ("clips kept", f"{self.kept}"),
            ("  with two bodies", f"{self.two_bodies}"),
            ("  frames", f"{self.frames}"),
            *self._joint_rows(),
            *((f"  {name}", _parts(part)) for name, part in self.parts.items()),
            ("damaged, left out", f"{len(self.damaged)}"),
            *((f"dropped: {reason}", f"{count}") for reason, count in sorted(reasons.items())),
        ]
        if self.ignore_list:
            rows.append(("on the ignore list", f"{len(self.ignored)} of the {self.ignore_list} listed"))
        if self.unselected:
            rows.append(("not of this data set", f"{self.unselected}"))
        if self.crowded:
            rows.append(("with more bodies than kept", f"{len(self.crowded)}"))
        if self.mapped:
            rows.append(("joints mapped", self.mapped))
            rows.append(("  missing", ", ".join(self.missing_joints) or "none"))
        rows.append(("size of the recordings", f"{self.input_bytes / 1e6:.1f} MB"))
        rows.append(("time of this run", f"{self.seconds:.1f} s, {self.megabytes_per_second:.1f} MB/s read"))
        return rows

    def _joint_rows(self) -> list[tuple[str, str]]:
        """Return the rows about missing and uncertain joints and about frame rates, where there are any."""
        rows = []
        if self.frame_rates:
            rows.append(("  frames per second", " to ".join(dict.fromkeys(f"{rate:g}" for rate in self.frame_rates))))
        if self.unknown_rates:
            rows.append(("  not resampled, of unknown rate", f"{self.unknown_rates}"))
        for what, number in (("missing", self.joints_missing), ("of less than full confidence", self.joints_uncertain)):
            if number:
                rows.append(
                    (f"  joints {what}", f"{number} of {self.joints}, {100 * number / max(self.joints, 1):.1f} %")
                )
        return rows

    def remarks(self, expected: Collection[str] = ()) -> list[str]:
        """Return sentences about bodies that were not kept and joints that no recording has.

        Args:
            expected: joints of which the user knows that they are missing.
        """
        found = []
        if joints := [name for name in self.missing_joints if name not in expected]:
            found.append(
                f"{self.mapped}: nothing is mapped to {', '.join(joints)}, so they are missing in every clip. Under "
                "data.layout_map each can have a joint, or null, which ends this warning."
            )
        if self.retimed:
            shown = first_few([f"{name} ({repairs})" for name, repairs in self.retimed.items()], _SHOWN)
            found.append(f"{counted(len(self.retimed), 'recording')} had irregular timestamps: {shown}.")
        if self.crowded:
            shown = first_few([f"{name} ({number} not kept)" for name, number in self.crowded.items()], _SHOWN)
            have = "recording has" if len(self.crowded) == 1 else "recordings have"
            found.append(
                f"{len(self.crowded)} {have} more bodies than data.bodies. The first that are present were kept, in "
                f"the order of the recording or, if they were tracked, of how much "
                f"they move or were measured: {shown}."
            )
        return found

    def text(self) -> str:
        """Return the whole report as readable text."""
        parts = [f"{self.name}: prepared from {self.raw} in {self.out}", _aligned(self.summary())]
        for title, left_out in (("Damaged, left out", self.damaged), ("Dropped", self.dropped)):
            if left_out:
                parts.append("\n".join([f"{title}:", *(f"  {each}" for each in left_out)]))
        if self.crowded:
            listed = [f"  {name}: {number} not kept" for name, number in self.crowded.items()]
            parts.append("\n".join(["More bodies than data.bodies:", *listed]))
        if self.retimed:
            listed = [f"  {name}: {repairs}" for name, repairs in self.retimed.items()]
            parts.append("\n".join(["Irregular timestamps:", *listed]))
        if self.warnings:
            parts.append("\n".join(["Before training:", *(f"  {each}" for each in self.warnings)]))
        if self.ignored:
            parts.append("\n".join(["On the ignore list:", *(f"  {name}" for name in self.ignored)]))
        parts.append(_aligned([tuple(self.classes[0]), *(tuple(row.values()) for row in self.classes)]))
        return "\n\n".join(parts) + "\n"

    def save(self, folder: Path) -> None:
        """Write `report.json` and `report.txt` into `folder`."""
        write_json(folder / REPORT_FILE, asdict(self))
        write_text(folder / TEXT_FILE, self.text())


def load_report(folder: Path) -> PreparationReport:
    """Read the report that `PreparationReport.save` wrote into `folder`, marked as prepared before.

    Raises:
        UserError: it is missing or is not such a report.
    """
    try:
        values: dict[str, Any] = {**read_json(folder / REPORT_FILE), "prepared_before": True}
        values["left_out"] = [SkippedRecording(*each) for each in values["left_out"]]
        report = PreparationReport(**values)
        if problem := _problem(report):
            raise UserError(problem)
        return report
    except (UserError, TypeError, KeyError) as error:
        raise UserError(
            f"{folder} holds a finished store, but no valid {REPORT_FILE} beside it ({error}). "
            "Use the store anyway, or prepare it again with --overwrite."
        ) from error


def _problem(report: PreparationReport) -> str:
    """Return how a report differs from what `PreparationReport.save` writes, or an empty string."""
    for name, hint in get_type_hints(PreparationReport).items():
        if not _fits(getattr(report, name), hint):
            return f"its {name!r} has the wrong type"
    if not all(
        _fits(value, hint) for each in report.left_out for value, hint in zip(each, _SKIPPED_TYPES, strict=True)
    ):
        return "its list of skipped recordings has the wrong form"
    if any(part.keys() != {"train", "test"} for part in report.parts.values()):
        return "its parts are not train and test"
    if not report.classes or any(row.keys() != report.classes[0].keys() or not row for row in report.classes):
        return "its classes are not a table"
    return ""


def _fits(value: object, hint: Any) -> bool:
    """Tell whether a value read from JSON is of a type such as `list[str]` or `dict[str, int]`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    if origin is UnionType:
        return any(_fits(value, each) for each in inner)
    return isinstance(value, (int, float) if hint is float else hint) and (hint is bool or type(value) is not bool)


def _warnings(found: Sequence[Suitability], config: DataConfig, hint: str) -> list[str]:
    """Return the warnings that training would give about the protocols."""
    if not found:
        return ["The data set has no protocol, and training needs one, such as protocols: {own: {by: file}}."]
    trained = [each.protocol for each in found if not each.problem]
    warnings = [warning for each in found for warning in each.warnings]
    warnings += [f"{each.problem} Training will refuse it." for each in found if each.problem]
    if config.split not in trained and trained:
        own = f"The protocol {config.split} cannot be trained" if config.split else "The data set names no split"
        warnings.append(f"{own}: train with --split {' or '.join(trained)}.")
    if hint and any(each.left_out for each in found):
        warnings.append(hint)
    return warnings


def _parts(part: dict[str, int]) -> str:
    return f"{part['train']} train, {part['test']} test"


def _aligned(rows: Sequence[Sequence[object]]) -> str:
    """Return a plain text table with the first column aligned left and the others right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))])
        for first, *rest in cells
    )
