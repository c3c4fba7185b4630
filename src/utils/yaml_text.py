"""Conversion of YAML text to plain values and back, without the features of YAML that are surprising or dangerous.

PyYAML parses a text into events, with libyaml if available; this module builds the values from the events. Refused
features are therefore reported as written in the text, and no more is built than the text contains.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from .foreign_text import is_readable, readable

_DEEPEST = 64
_MOST_DIGITS = 100
_READER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # CSafeLoader is ten times as fast
# Characters that YAML forbids (section 5.1); checked here for a clearer message than that of either reader.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOTHING = {"", "~", "null", "Null", "NULL"}
_WORDS = {
    form(word): value
    for value, words in {True: ("yes", "true", "on"), False: ("no", "false", "off")}.items()
    for word in words
    for form in (str.lower, str.capitalize, str.upper)
}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(
    r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class _Writer(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Dumper without aliases for repeated values, and with quotes around texts that look like other values."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as the base class has it
        return True


def _quoted_where_needed(writer: Any, text: str) -> Any:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain_value(text) == text else "'")


_Writer.add_representer(str, _quoted_where_needed)


def parse_yaml(text: str) -> Any:
    """Return the content of `text` as dicts, lists and plain values; None if it is empty.

    Raises:
        ValueError: it is not YAML, or uses an unsupported feature.
    """
    return parse_with_texts(text)[0]


def parse_with_texts(text: str) -> tuple[Any, Any]:
    """Return the content of `text`, and the same tree with every value as written.

    Only a setting determines whether `no` is a name or a bool. Numbers are read in decimal digits: `010` is ten,
    and `0x10`, `1_000` and `1:30`, which YAML reads as other numbers, are texts. `1e-3` is a float, a date is text, and
    a key is the text as written.

    Aliases are refused, because a few lines of them can expand beyond the available memory; so are tags, because the
    setting determines the type of its value, and duplicate keys, because one value would be lost.

    Raises:
        ValueError: it is not YAML, or uses an unsupported feature.
    """
    if found := _FORBIDDEN.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"line {line}: special characters are not allowed: {found[0]!r}")
    try:
        return _document(yaml.parse(text, Loader=_READER))
    except yaml.MarkedYAMLError as error:
        raise ValueError(_told(error)) from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def yaml_of(values: Any) -> str:
    """Return dicts, lists and plain values as YAML, one line per value, for `parse_yaml`."""
    return str(yaml.dump(values, Dumper=_Writer, default_flow_style=False, allow_unicode=True, sort_keys=False))


def inline(value: Any) -> str:
    """Return a plain value as YAML in one line, without quotes where it needs none."""
    try:
        if isinstance(value, str) and parse_yaml(value) == value:
            return value
    except ValueError:  # it has another meaning, or none, without quotes
        pass
    return json.dumps(value, ensure_ascii=False)


def plain_value(text: str) -> Any:
    """Return the value of an unquoted YAML text: None, a bool, a number or the text itself.

    Raises:
        ValueError: it is a number with too many digits.
    """
    if text in _NOTHING:
        return None
    if text in _WORDS:
        return _WORDS[text]
    return decimal(text)


def is_number(text: str) -> bool:
    """Tell whether a text is a number in decimal digits, which YAML reads as one unless it is quoted."""
    return bool(_WHOLE.fullmatch(text) or _DECIMAL.fullmatch(text))


def decimal(text: str) -> int | float | str:
    """Return the number in decimal digits; any other text unchanged.

    Raises:
        ValueError: it has too many digits.
    """
    if not is_number(text):
        return text
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits, {text[:20]}..., is not a setting")
    return int(text) if _WHOLE.fullmatch(text) else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _document(events: Iterator[Any]) -> tuple[Any, Any]:
    """Return the value and the texts of the single document in the events."""
    found: tuple[Any, Any] = (None, None)
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refused("expected a single document", event)
        elif isinstance(event, yaml.NodeEvent):
            found = _node(event, events, 1)
    return found


def _node(event: Any, events: Iterator[Any], depth: int) -> tuple[Any, Any]:
    """Return the value and the texts of the node that starts with `event` and continues in `events`."""
    if isinstance(event, yaml.AliasEvent):
        raise _refused("aliases (*name) are not read; write the value out", event)
    if event.tag is not None:
        raise _refused(f"tags ({event.tag[:40]}) are not read", event)
    if depth > _DEEPEST:
        raise _refused("it is nested too deeply", event)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event), event.value
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, depth)
    return _mapping(events, depth)


def _scalar(event: yaml.ScalarEvent) -> Any:
    if not is_readable(event.value):
        raise _refused(f"it has an invalid character: {readable(event.value)[:40]!r}", event)
    if not event.implicit[0]:  # in quotes
        return event.value
    try:
        return plain_value(event.value)
    except ValueError as error:
        raise _refused(str(error), event) from error


def _sequence(events: Iterator[Any], depth: int) -> tuple[list[Any], list[Any]]:
    values, texts = [], []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        value, text = _node(event, events, depth + 1)
        values.append(value)
        texts.append(text)
    return values, texts


def _mapping(events: Iterator[Any], depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
    values: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        _, key = _node(event, events, depth + 1)
        if not isinstance(key, str):
            raise _refused("a key should be a word", event)
        if key in values:
            raise _refused(f"the key {key[:100]!r} occurs twice", event)
        values[key], texts[key] = _node(next(events), events, depth + 1)
    return values, texts


def _refused(problem: str, where: yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = where.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _told(error: yaml.MarkedYAMLError) -> str:
    """Return the position and the problem of an error in one line."""
    origins = {
        f"line {mark.line + 1}, column {mark.column + 1}": about
        for mark, about in ((error.context_mark, error.context), (error.problem_mark, error.problem))
        if mark is not None
    }
    return "; ".join(f"{origin}: {about}" if about else origin for origin, about in origins.items())
