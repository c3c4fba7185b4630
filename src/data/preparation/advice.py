"""What a preparation says when recordings cannot be used, and what to do about it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ...settings.data import DataConfig
from ...utils.errors import UserError
from ...utils.numbers import counted
from .formats import Reader
from .formats.class_folders import ClassFolderReader, unread_marks
from .report import PreparationReport

_NAMED = 10  # recordings that were left out, in a refusal


def protocol_hint(reader: Reader, names: Iterable[str]) -> str:
    """Return advice for clips of recordings with these names, if they lack subject, camera or setup."""
    at_random = "divide them at random: protocols: {own: {by: file, test_share: 0.25}}."
    if not isinstance(reader, ClassFolderReader):
        return f"Choose a protocol that fits the known metadata, or {at_random}"
    unread = unread_marks(names)
    seen = f" (their names have {unread}, which is not recognised)" if unread else ""
    return f"Name the clips with marks such as take_P007.npy for performer 7{seen}, or {at_random}"


def nothing_kept(report: PreparationReport, config: DataConfig) -> UserError:
    """Return the error for recordings of which none can be kept."""
    message = f"None of the {counted(report.found, 'recording')} below {report.raw} can be kept."
    if report.ignored:
        message += f" On the ignore list: {len(report.ignored)}."
    if report.left_out:
        message += f" Damaged or empty: {len(report.left_out)}; the first: {report.left_out[0]}."
    if report.unselected:
        select = ", ".join(f"{name} {_ranges(numbers)}" for name, numbers in asdict(config.select).items() if numbers)
        hint = f": try --dataset {config.subset_of}" if config.subset_of else ""
        message += f" Outside of the `select` of {config.name} ({select}): {report.unselected}{hint}."
    return UserError("\n".join([message, *(left_out(report) if len(report.left_out) > 1 else [])]))


def left_out(report: PreparationReport) -> list[str]:
    """Return lines that name the recordings that were left out, for a refusal after which no report is written."""
    lines = []
    for title, skipped in (("Damaged", report.damaged), ("Empty or not used", report.dropped)):
        more = [f"  and {len(skipped) - _NAMED} more"] if len(skipped) > _NAMED else []
        named = [f"  {each}" for each in skipped[:_NAMED]]
        lines += [f"{title}, left out: {counted(len(skipped), 'recording')}:", *named, *more] if skipped else []
    return lines


def damaged(first: str) -> UserError:
    """Return the error for a damaged recording with `--strict`."""
    return UserError(
        f"A recording is damaged: {first}. Repair or remove it, add its name to the --ignore list, or omit --strict."
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as ranges: `1-17`, or `1, 3-5`."""
    ordered = sorted(set(numbers))
    starts = [number for number in ordered if number - 1 not in ordered]
    ends = [number for number in ordered if number + 1 not in ordered]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True))
