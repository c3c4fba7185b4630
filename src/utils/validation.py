"""Validation of one layer of a configuration by pydantic: strict, and with all problems at once.

The shape of a configuration is a dataclass whose annotations hold the limits of each value. A layer sets any part of
it, so what is validated is a typed dictionary for each dataclass, with the same keys, none of which is required. Errors
of pydantic are reported in the terms of a configuration file: key, value, and what the value should be.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from .aliases import ALIASES
from .foreign_text import is_readable, short
from .limits import Interval, Lengths, ZeroOrAtLeast, annotations_of, entry_type
from .names import suggestion
from .renamed_keys import present_key
from .unordered import Unordered
from .yaml_text import is_number

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_OTHER_NUMBER = re.compile(r"[-+]?[0-9][0-9a-zA-Z_:.]*")  # such as 0x10, 1_000 and 1:30
_WANTED = {  # type of pydantic's error -> what the value should have been
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "finite_number": "a finite number",
    "zero_or": "0, or at least {lowest}",
    "lengths": "a list of {lengths} elements",
}
_TYPE_NAMES: dict[Any, str] = {
    Any: "any value",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}
_MOST_NAMED = 12  # keys in one message
_MOST_PLACES = 3  # more sections have a key of this name than a hint can list


class _FirstError(FailFast):
    """Validation of a list up to its first error, with a hash, which a part of a union needs."""

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Scalar:
    """A bool, number or missing value with its text in the source, which a setting of type text takes."""

    value: Any
    text: str


def validated(
    schema: Any, values: Mapping[str, Any], texts: Mapping[str, Any]
) -> tuple[dict[str, Any], Iterator[tuple[list[str], str]]]:
    """Return `values` with the types of the fields of `schema`, and the problems: a key and what is wrong.

    Args:
        schema: a dataclass instance with the keys and types; a section has the fields of its instance there.
        values: any part of the configuration.
        texts: the same tree as written in the source, if it comes from a text.
    """
    adapter = _adapter(schema.__class__, tuple(annotations_of(schema).items()))
    try:
        return adapter.validate_python(_with_texts(values, texts)), iter(())
    except ValidationError as error:
        return {}, _problems(schema, values, texts, error)


def _problems(
    schema: Any, values: Mapping[str, Any], texts: Mapping[str, Any], error: ValidationError
) -> Iterator[tuple[list[str], str]]:
    """Yield the problem of each key in `error`."""
    reported = set()
    for each in error.errors(include_url=False):
        location = each["loc"]
        is_name = location[-1:] == ("[key]",) and each["type"] in ("text", "string_type")
        depth, annotation = _annotation_at(schema, location[:-1] if is_name else location)
        path = location[:-1] if is_name else location[:depth]
        value = _shown(each["input"], values, path, is_whole=depth == len(location))
        entry = location[depth : depth + 1]
        if entry and not is_name and _is_of_wrong_type(each) and isinstance(value, Mapping) and entry[0] in value:
            path, value, annotation = (*path, *entry), value[entry[0]], entry_type(annotation)
        if isinstance(value, bool) and isinstance(text := _at(texts, path), str):
            value = text  # `yes`, and not True
        if path in reported:
            continue
        reported.add(path)
        if is_name:
            problem = "a name should be UTF-8 text."
        elif annotation is None:
            known = list(annotations_of(_annotation_at(schema, path[:-1])[1]))
            problem = _unknown_key([str(name) for name in path], value, known, schema)
        else:
            problem = _problem(each, annotation, value)
        yield [str(name) for name in path], problem


# --- from dataclasses to the types that pydantic validates


@cache
def _adapter(kind: Hashable, annotations: tuple[tuple[str, Any], ...]) -> TypeAdapter[Any]:
    return TypeAdapter(_section(kind, dict(annotations)))


def _section(kind: Any, annotations: Mapping[str, Any]) -> Any:
    make: Any = TypedDict  # its keys are dynamic
    made = make(kind.__name__, {key: _from_file(annotation) for key, annotation in annotations.items()}, total=False)
    made.__pydantic_config__ = _STRICT
    return made


def _from_file(annotation: Any) -> Any:
    """Return the type that pydantic validates for a field with this annotation in a file or a flag."""
    base: Any
    base, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    limits = [_limit(each) for each in metadata if not isinstance(each, Unordered)]
    origin, parts = get_origin(base), get_args(base)
    if is_dataclass(base):
        return _annotated(_section(base, annotations_of(base)), BeforeValidator(_lines))
    if origin is list:  # one wrong element is enough
        return _annotated(list[_from_file(parts[0])], _FirstError(), *limits, BeforeValidator(_list))  # type: ignore[misc]
    if origin is dict:
        types = [_from_file(parts[0]), _annotated(_from_file(parts[1]), *_section_limits(parts[1]))]
        return _annotated(dict[tuple(types)], *limits, BeforeValidator(_plain))  # type: ignore[misc]
    if origin in (UnionType, Union):
        return _annotated(Union[tuple(map(_from_file, parts))], *limits)  # noqa: UP007 - of types found only now
    read = {str: _text, Literal: _text}.get(origin or base, _plain)
    return _annotated(base, *limits, BeforeValidator(read))


def _limit(limit: Any) -> Any:
    """Return a limit as pydantic applies it."""
    if isinstance(limit, Lengths):
        return AfterValidator(partial(_length, limit))
    if isinstance(limit, Interval):
        return Field(gt=limit.gt, ge=limit.ge, lt=limit.lt, le=limit.le)
    return AfterValidator(partial(_zero_or, limit)) if isinstance(limit, ZeroOrAtLeast) else limit


def _section_limits(annotation: Any) -> list[BeforeValidator]:
    return [BeforeValidator(_lines)] if get_origin(annotation) is dict else []


def _annotated(base: Any, *metadata: Any) -> Any:
    return Annotated[base, *metadata] if metadata else base


def _with_texts(value: Any, text: Any) -> Any:
    """Return a tree of values in which every scalar that is not a text is a `Scalar` with its text."""
    if isinstance(value, Mapping):
        texts = text if isinstance(text, Mapping) else {}
        return {key: _with_texts(each, texts.get(key)) for key, each in value.items()}
    if isinstance(value, list) and isinstance(text, list) and len(value) == len(text):
        return [
            Scalar(None, own) if each is None and own else _with_texts(each, own)
            for each, own in zip(value, text, strict=True)
        ]
    return Scalar(value, text) if isinstance(value, bool | int | float) and isinstance(text, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _whole_text(value)
    return value.value if isinstance(value, Scalar) else value


def _text(value: Any) -> Any:
    value = value.text if isinstance(value, Scalar) else value
    return _whole_text(value) if isinstance(value, str) else value


def _lines(value: Any) -> Any:
    return {} if value is None else value  # a section without keys, all of them commented out


def _list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else _plain(value)


def _length(lengths: Lengths, value: list[Any]) -> list[Any]:
    if len(value) not in lengths.allowed:
        raise PydanticCustomError("lengths", "wrong length", {"lengths": str(lengths)})
    return value


def _zero_or(limit: ZeroOrAtLeast, value: float) -> float:
    if 0 < value < limit.lowest:
        raise PydanticCustomError("zero_or", "too small", {"lowest": limit.lowest})
    return value


def _whole_text(text: str) -> str:
    """Return a text if it is valid for a setting.

    Raises:
        PydanticCustomError: it is not.
    """
    if not is_readable(text):
        raise PydanticCustomError("text", "should be UTF-8 text: rename the file or folder.")
    if "${" in text or text == "???":  # placeholders of other programs
        raise PydanticCustomError("text", "should be written out: `${...}` and `???` have no meaning here.")
    return text


# --- from pydantic's errors to messages


def _annotation_at(schema: Any, location: tuple[int | str, ...]) -> tuple[int, Any]:
    """Return the number of names in `location` up to a field, and its annotation; None if the last is unknown."""
    annotation = schema
    for depth, name in enumerate(location):
        if is_dataclass(annotation):
            annotation = annotations_of(annotation).get(str(name))
        elif is_dataclass(entry := entry_type(annotation)):
            annotation = entry
        else:
            return depth, annotation
    return len(location), annotation


def _shown(found: Any, values: Any, path: Sequence[int | str], *, is_whole: bool) -> Any:
    """Return the value of a field as in its file.

    Args:
        found: the value in pydantic's error, the text if a text was expected.
        values, path: the layer, and the position of the field; pydantic changes names that are not texts.
        is_whole: whether `found` is the whole value, not an element of it.
    """
    if is_whole and isinstance(found, str):
        return found
    for name in path:
        if not isinstance(values, Mapping) or name not in values:
            return found.value if isinstance(found, Scalar) else found
        values = values[name]
    return values


def _at(tree: Any, path: Sequence[int | str]) -> Any:
    """Return what is at a position of a tree, None if nothing is."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _problem(error: ErrorDetails, annotation: Any, value: Any) -> str:
    """Return the problem of a value of a field or section with this annotation."""
    if error["type"] == "text":
        return f"{short(value)} {error['msg']}"
    if is_dataclass(annotation):
        known = ", ".join(annotations_of(annotation))
        return f"is a section with the keys {known}, not the single value {short(value)}."
    if is_dataclass(entry := entry_type(annotation)) or get_origin(entry) is dict:
        return f"should be a mapping of names to sections, not {short(value)}, such as {{NAME: {{}}}}."
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        wanted = f"one of {', '.join(_choices(annotation))}"
    elif error["type"] in _WANTED:
        wanted = _WANTED[error["type"]].format_map(error.get("ctx", {}))
    else:
        return _wrong_type(annotation, value, error["input"])
    if isinstance(value, list) and error["type"] != "lengths":
        wanted = f"a list, each element {wanted}"
    elif isinstance(value, Mapping):
        wanted = f"a mapping, each value {wanted}"
    return f"{short(value)} should be {wanted}."


def _is_of_wrong_type(error: ErrorDetails) -> bool:
    """Tell whether a value has another type than it should, rather than a wrong value of its type."""
    is_choice = error["type"] == "literal_error" and isinstance(error["input"], str)
    return not is_choice and error["type"] != "text" and error["type"] not in _WANTED


def _wrong_type(annotation: Any, value: Any, wrong: Any) -> str:
    """Return the problem of a value of another type; `wrong` is the part of it that pydantic refused."""
    advice = ""
    if annotation is not bool and isinstance(wrong, str):
        other = ", in decimal digits" if _OTHER_NUMBER.fullmatch(wrong) else ""
        advice = ", without quotes" if is_number(wrong) else other
    wanted = f"should be {_type_name(annotation)}"
    return f"no value is given, and it {wanted}{advice}." if value is None else f"{short(value)} {wanted}{advice}."


def _unknown_key(path: Sequence[str], value: Any, known: Sequence[str], schema: Any) -> str:
    *section, name = path
    if present := present_key(name, known):
        return f"was renamed: write {'.'.join([*section, present])} (its value is {short(value)})."
    alias = ALIASES.get(name, "")
    elsewhere = [".".join(each) for each in _places(schema, name)]
    if alias.partition(".")[0] in known:
        advice = f" Did you mean {alias!r}?"
    elif 0 < len(elsewhere) <= _MOST_PLACES:
        advice = f" Did you mean {' or '.join(map(repr, elsewhere))}?"
    else:
        advice = suggestion(name, known)
    if name == "<<":
        advice = " YAML's merging of mappings has no meaning here: write the keys out."
    elif not advice and len(known) <= _MOST_NAMED:
        advice = f" Known here: {', '.join(known)}."
    elif not advice:
        advice = f" Known here: {', '.join(known[:_MOST_NAMED])} and {len(known) - _MOST_NAMED} more."
    return f"unknown key (its value is {short(value)}).{advice}"


def _places(section: Any, name: str) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the keys of this name in a section and in those below it."""
    for key, annotation in annotations_of(section).items():
        if key == name:
            yield (key,)
        if is_dataclass(annotation):
            yield from ((key, *path) for path in _places(annotation, name))


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the choices of the `Literal` in an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next(filter(None, map(_choices, get_args(annotation))), ())


def _type_name(annotation: Any) -> str:
    """Return a type in the words of the comments in `configs`, without limits."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(parts[0])
    if origin is Literal:
        return "text"
    if origin in (UnionType, Union):
        names = ["nothing" if part is type(None) else _type_name(part) for part in parts]
        return " or ".join(sorted(names, key=lambda name: name.startswith("a list")))  # their elements are named last
    if origin is list:
        return f"a list, each element {_type_name(parts[0])}"
    if origin is dict:
        return f"a mapping of names, each value {_type_name(parts[1])}"
    return _TYPE_NAMES.get(annotation) or str(annotation.__name__)
