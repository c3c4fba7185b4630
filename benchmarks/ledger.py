"""The ledger: docs/results.md from the records in results/, and a check that no figure is written by hand unmarked.

python -m last.benchmarks.ledger            # write docs/results.md
python -m last.benchmarks.ledger --check    # change nothing; exit code 1 if it is out of date or a figure is not traced

The template is results/results.md.j2. What it takes from records is wrapped in two marks while it is rendered, so that
the check knows those figures from typed ones; the marks are not in the document.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from last.runs.records import MEASUREMENT, TRAINING, Record, read_records
from last.utils.errors import UserError
from last.utils.files import write_text
from last.utils.spread import MeanDeviation

ROOT = Path(__file__).resolve().parents[1]
RECORDS, TEMPLATE = ROOT / "results", "results.md.j2"
RESULTS, DISTILLATION = ROOT / "docs" / "results.md", ROOT / "docs" / "distillation.md"
_OPEN, _CLOSE = "\ue000", "\ue001"  # of the private use area: no document has them
_TRACED = re.compile(f"{_OPEN}[^{_CLOSE}]*{_CLOSE}")
_CODE = re.compile(r"`[^`]*`")
_LINK_OR_COMMENT = re.compile(r"\]\([^)]*\)|<!--.*?-->")
_HEADING = re.compile(r"(#+) ")
_FENCE = re.compile(r" *```")
_BY_HAND = re.compile(r"\*Not traced: measured by hand on (\d{4}-\d{2}-\d{2})\b")
_SETTINGS = "<!-- Not measured: "
# Digits that do not belong to a name, such as top-1, F1 or NTU60.
_FIGURE = re.compile(r"(?<![\w.,])(?<![A-Za-z]-)\d[\d.,:]*|(?<=[A-Za-z]-)\d+\.\d[\d.,:]*")
# What an accuracy can be: 50 to 100 with decimals. Settings are seldom so, and other shares are written with %.
_ACCURACY = re.compile(r"(?<![\w.,-])(?:[5-9]\d\.\d+|100\.0+)(?![\w.])")
_LIKE_A_RESULT = re.compile(r"±|(?<![\w.,])\d[\d.,]* ?%|(?<![\w.,])\d{1,3}\.\d{2}(?!\d|\.\d)")


class Traced(str):
    """A text that was made from records, or declared by `given`."""


@dataclass(frozen=True)
class Runs:
    """Records of one configuration, sorted by seed; every text that it gives is traced."""

    records: Sequence[Record]

    @property
    def count(self) -> Traced:
        """Return how many there are."""
        return Traced(len(self.records))

    @property
    def seeds(self) -> Traced:
        """Return their seeds."""
        return self._each(lambda record: str(record.content["seed"]))

    def metric(self, name: str, which: str = "final") -> Traced:
        """Return a metric of the `final` or the `best` epoch of each."""
        return self._each(lambda record: f"{record.figure(which, name):.2f}")

    def last(self, column: str, form: str = ".2f") -> Traced:
        """Return a column of the last epoch of each, such as `train_top1`."""
        return self._each(lambda record: format(record.column(column)[-1], form))

    def spread(self, name: str, which: str = "final") -> Traced:
        """Return mean and standard deviation of a metric."""
        return Traced(MeanDeviation.of([record.figure(which, name) for record in self.records]).text())

    def value(self, key: str, form: str = ",") -> Traced:
        """Return a value of the records, once if it is the same in all; a dot leads into nested ones."""
        return self._once(lambda record: _formatted(_value(record, key), form))

    def each(self, key: str, form: str = ",") -> Traced:
        """Return a value of every record."""
        return self._each(lambda record: _formatted(_value(record, key), form))

    @property
    def minutes(self) -> Traced:
        """Return the minutes that each was trained for."""
        return self._each(lambda record: f"{record.content['train_seconds'] / 60:.0f}")

    @property
    def dates(self) -> Traced:
        """Return the days on which they ended, each once."""
        return self._once(lambda record: str(record.content["finished"])[:10])

    @property
    def commits(self) -> Traced:
        """Return the commits of LAST that trained them."""
        return self._once(lambda record: f"`{record.content['commit'][:12]}`")

    @property
    def files(self) -> Traced:
        """Return the names of the files of the records, in the order of the seeds."""
        return self._each(lambda record: f"`{record.name}`")

    def _each(self, text: Callable[[Record], str]) -> Traced:
        return Traced(", ".join(map(text, self.records)))

    def _once(self, text: Callable[[Record], str]) -> Traced:
        return Traced(", ".join(dict.fromkeys(map(text, self.records))))


def _value(record: Record, key: str) -> Any:
    """Return a setting or another value of a record."""
    if key in record.content.get("config", {}):
        return record.config[key]
    found: Any = record.content
    for part in key.split("."):
        found = found[part]
    return found


def _formatted(value: Any, form: str) -> str:
    return value if isinstance(value, str) else format(value, form)


def _tested(record: Record) -> Mapping[str, int] | None:
    """Return the test parts of a measurement with the number of tests on each; None if the record does not say them."""
    facts, said = record.content["facts"], record.content.get("tested")
    if said is not None or not {"dataset", "split"} <= facts.keys():
        return said
    return {} if facts.get("subset") == "train" else {f"{facts['dataset']}:{facts['split']}": 1}


class Ledger:
    """What a template can use: the records by their properties.

    Args:
        records: all records.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        of_runs = [each for each in records if each.content["kind"] == TRAINING]
        self.records = sorted(of_runs, key=lambda record: (record.content["seed"], record.name))
        self.measurements = [each for each in records if each.content["kind"] == MEASUREMENT]

    def runs(self, model: str, dataset: str, split: str, **settings: Any) -> Runs:
        """Return the records of a model, a data set and a split with some settings, in whose names `__` is a dot.

        Raises:
            LookupError: there is none, or two have the same seed, so that a mean would count it twice.
        """
        found = self._find((model, dataset, split), settings)
        seeds = [record.content["seed"] for record in found]
        if not found or len(set(seeds)) < len(seeds):
            what = "There is no record" if not found else f"Two records have the same seed ({seeds})"
            raise LookupError(f"{what} of {model} on {dataset} {split} with {settings}.")
        return Runs(found)

    def has(self, model: str, dataset: str, split: str, **settings: Any) -> bool:
        """Tell whether there are records of a model, a data set and a split with some settings."""
        return bool(self._find((model, dataset, split), settings))

    def _find(self, identity: tuple[str, str, str], settings: Mapping[str, Any]) -> list[Record]:
        wanted = {key.replace("__", "."): value for key, value in settings.items()}
        return [
            record
            for record in self.records
            if tuple(record.content[key] for key in ("model", "dataset", "split")) == identity
            and all(record.config.get(key) == value for key, value in wanted.items())
        ]

    def looks(self, dataset: str, split: str) -> Traced:
        """Return how many recorded runs, evaluations and tests of measurements were on the test part of a protocol."""
        runs = [(each.content["dataset"], each.content["split"]) for each in self.records].count((dataset, split))
        tests = [(_tested(each) or {}).get(f"{dataset}:{split}", 0) for each in self.measurements]
        return Traced(runs + sum(tests))

    def unstated(self) -> Traced:
        """Return how many records of measurements do not say what part they were tested on."""
        return Traced(sum(_tested(each) is None for each in self.measurements))

    def measured(self, name: str) -> "Measurement":
        """Return the record of a measurement.

        Raises:
            LookupError: there is none, or more than one.
        """
        found = [each for each in self.measurements if each.content["name"] == name]
        if len(found) != 1:
            raise LookupError(f"There are {len(found)} records of a measurement with the name {name!r}.")
        return Measurement(found[0])


@dataclass(frozen=True)
class Measurement:
    """The record of a measurement; every text that it gives is traced."""

    record: Record

    def figure(self, key: str, form: str = ".2f") -> Traced:
        """Return one of its figures, by its dotted key."""
        return Traced(format(self.record.content["figures"][key], form))

    def half_width(self, interval: str, form: str = ".1f") -> Traced:
        """Return half of the width of an interval, whose ends are the figures `low` and `high` below a dotted key."""
        low, high = (self.record.content["figures"][f"{interval}.{end}"] for end in ("low", "high"))
        return Traced(format((high - low) / 2, form))

    def count(self, key: str) -> int:
        """Return the number of elements of a list, by its dotted key."""
        rest = [each.removeprefix(f"{key}.") for each in self.record.content["figures"] if each.startswith(f"{key}.")]
        return len({each.partition(".")[0] for each in rest})

    def value(self, key: str) -> Traced:
        """Return another value; a dot leads into nested ones."""
        return Traced(_value(self.record, key))


def given(value: object, source: str = "") -> Traced:
    """Return a number that was not measured by us, such as one of a protocol.

    Args:
        value: the number, or a text with numbers.
        source: who published it, if it could be an accuracy.

    Raises:
        ValueError: it looks like a result, which is to be taken from a record, or could be one and has no source.
    """
    text = str(value)
    if _LIKE_A_RESULT.search(text) or (_ACCURACY.search(text) and not source.strip()):
        raise ValueError(
            f"given({value!r}) looks like a result: take it from a record, mark its section, or name the source of an "
            "accuracy of others, as the second argument."
        )
    return Traced(value)


def rendered(template: str, records: Sequence[Record]) -> str:
    """Return the document that a template makes of records, with the marks around what is traced.

    Raises:
        jinja2.TemplateError, LookupError: the template is wrong, or asks for records that are missing.
    """
    from jinja2 import Environment, StrictUndefined

    def marked(value: object) -> object:
        return f"{_OPEN}{value}{_CLOSE}" if isinstance(value, Traced) else value

    environment = Environment(
        undefined=StrictUndefined,
        finalize=marked,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown
    )
    ledger = Ledger(records)
    return environment.from_string(template).render(
        runs=ledger.runs,
        has=ledger.has,
        measured=ledger.measured,
        looks=ledger.looks,
        unstated=ledger.unstated,
        given=given,
    )


def without_marks(text: str) -> str:
    """Return a rendered document as it is written."""
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def untraced(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each line and the first figure in it that comes from no record and is not marked.

    A section that begins with `*Not traced: measured by hand on DATE`, of a day that has been, is marked with its
    subsections. One that begins with a comment which says `Not measured:` has settings and sources up to the next
    heading; only what looks like a result (±, %, two decimals) is reported there. In code only a number that could be
    an accuracy is: a code span of nothing else, and any in a fenced block. The targets of links are never figures.
    """
    level, by_hand, settings, in_code, begins = 0, 0, False, False, True
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line) is not None
        in_code = in_code != fence
        if not in_code and (heading := _HEADING.match(line)):
            level = len(heading[1])
            by_hand = by_hand if by_hand and level > by_hand else 0
            settings, begins = False, True
        elif begins and _is_marked_by_hand(line):
            by_hand = by_hand or max(level, 2)  # a mark below the title does not cover the whole document
        elif begins and line.startswith(_SETTINGS):
            settings = True
        elif line.strip():
            begins = False
        pattern = _ACCURACY if in_code else _LIKE_A_RESULT if settings else _FIGURE
        figure = None if by_hand or fence else pattern.search(line if in_code else _prose(line))
        if figure:
            yield number, figure[0]


def _is_marked_by_hand(line: str) -> bool:
    """Tell whether a line says that figures were measured by hand, on a day that has been."""
    try:
        return (mark := _BY_HAND.match(line)) is not None and date.fromisoformat(mark[1]) <= date.today()
    except ValueError:  # there is no such day
        return False


def _prose(line: str) -> str:
    """Return what is searched in a line: no traced text, no link, and code only if it is a number like an accuracy."""
    text = _LINK_OR_COMMENT.sub("", _TRACED.sub("", line))
    return _CODE.sub(lambda code: code[0][1:-1] if _ACCURACY.fullmatch(code[0][1:-1].strip(" %*")) else "", text)


def problems(documents: Mapping[Path, str], made: str) -> list[str]:
    """Return what is wrong with the documents, a sentence each.

    Args:
        documents: the text of docs/results.md and of other documents by their paths.
        made: docs/results.md as it was rendered, with marks.
    """
    found = []
    if documents[RESULTS] != without_marks(made):
        found.append(f"{_name(RESULTS)} is not what {_name(RECORDS / TEMPLATE)} and the records make: write it again.")
    for path, text in {**documents, RESULTS: made}.items():
        found += [
            f"{_name(path)}, line {line}: {figure} comes from no record. Take it from one, or mark the section."
            for line, figure in untraced(text)
        ]
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def main(arguments: Sequence[str]) -> int:
    """Write the document, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, and report what is wrong")
    check = parser.parse_args(arguments).check
    from jinja2 import TemplateError  # not at import, as in `rendered`

    try:
        made = rendered((RECORDS / TEMPLATE).read_text(encoding="utf-8"), read_records(RECORDS))
    except (LookupError, ValueError, UserError, TemplateError) as error:  # of records, of `given`, or of the template
        sys.stdout.write(f"{_name(RECORDS / TEMPLATE)}: {error}\n")
        return 1
    if not check:
        write_text(RESULTS, without_marks(made))
    documents = {path: path.read_text(encoding="utf-8") for path in (RESULTS, DISTILLATION)}
    found = problems(documents, made)
    sys.stdout.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
