"""Protocols that a file of clips lists itself, as train and test lists under freely chosen names.

`xsub_train` and `xsub_val` make the protocol `xsub`; `train1` and `test1` make `split1`; a plain `train` and `test`
make `file`. A train list with several other lists makes a protocol with each of them: `file_val` and `file_test`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ....utils.errors import UserError
from ....utils.names import normal_form
from ....utils.numbers import counted
from .restricted_pickle import PickledArray

PLAIN = "file"  # the protocol of lists that are named only after their part
_PART = re.compile(
    r"(?P<before>(?:.*[_\-. ])?)(?P<part>train|training|val|valid|validation|test|testing|eval|evaluation)"
    r"(?P<after>(?:[_\-. ].*|\d.*)?)",
    re.IGNORECASE | re.DOTALL,
)
_SHOWN, _LONGEST_NAME = 40, 60
_MOST_NAMES = 4 << 20  # in all lists together; NTU RGB+D 120 has 113,945 in each of two protocols

# The names of the clips by protocol and by part, train or test.
ProtocolLists = dict[str, dict[str, set[str]]]


def read_protocols(split: object, origin: str) -> ProtocolLists:
    """Return the protocols in the `split` of an annotation file; `origin` names it in errors.

    Raises:
        UserError: it is not a dict of lists of names, the name of a list does not say what the list is for, a train
            list has no test list, or a clip is in both lists of a protocol.
    """
    if split is None:
        return {}
    if not isinstance(split, dict):
        raise UserError(f"{origin}: `split` should be a dict of lists of clip names, not {_kind(split)}.")
    if sum(map(_length, split.values())) > _MOST_NAMES:
        raise UserError(f"{origin}: its split lists have more than {_MOST_NAMES} names.")
    groups: dict[str, dict[str, set[str]]] = {}
    for key, names in split.items():
        match = _PART.fullmatch(key.strip()) if isinstance(key, str) else None
        if match is None:
            raise UserError(
                f"{origin}: nothing says what the split list {_shown(key)} is for. Name it train, val or test, "
                "such as xsub_train or test1."
            )
        group = groups.setdefault(_protocol(match, origin), {})
        part = _canonical(match["part"])
        if part in group:
            name = _protocol(match, origin)
            raise UserError(f"{origin}: there are two split lists for {part} of {name}, one of them {_shown(key)}.")
        group[part] = _names(names, f"{origin}: the split list {_shown(key)}")
    return {name: parts for key, group in groups.items() for name, parts in _protocols(key, group, origin)}


def _protocol(match: re.Match[str], origin: str) -> str:
    """Return the name of the protocol that a list belongs to: its name without the part."""
    words = [word for word in (match["before"].strip("_-. "), match["after"].strip("_-. ")) if word]
    name = "_".join(words).lower()
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise UserError(f"{origin}: {name[:_SHOWN]!r} is too long for a split's name, or holds control characters.")
    if name.isdigit():
        return f"split{name}"
    return name or PLAIN


def _canonical(part: str) -> str:
    part = part.lower()
    return next(short for short in ("train", "val", "test", "eval") if part.startswith(short))


def _protocols(key: str, group: Mapping[str, set[str]], origin: str) -> Iterable[tuple[str, dict[str, set[str]]]]:
    """Yield the protocols that the lists of one name make: the train list with each other list."""
    tested = {part: names for part, names in group.items() if part != "train"}
    if "train" not in group or not tested:
        missing = "train" if "train" not in group else "test or val"
        raise UserError(f"{origin}: its split {key!r} has no {missing} list, only {', '.join(group)}.")
    for part, names in tested.items():
        both = group["train"] & names
        if both:
            raise UserError(
                f"{origin}: in both the train and the {part} list of its split {key!r}: {counted(len(both), 'clip')}, "
                f"such as {min(both)[:_SHOWN]!r}. Remove each from one of the lists."
            )
        yield key if len(tested) == 1 else f"{key}_{part}", {"train": group["train"], "test": names}


def _names(names: Any, where: str) -> set[str]:
    if not isinstance(names, list | tuple | set | frozenset | PickledArray):
        raise UserError(f"{where} should be a list of clip names, not {_kind(names)}.")
    if isinstance(names, PickledArray) and names.array.dtype.kind != "U":
        names = names.array.ravel()[:1].tolist()  # one number is enough to refuse all of them
    listed = list(names)
    strange = next((name for name in listed if not isinstance(name, str)), None)
    if strange is not None:
        raise UserError(f"{where} holds {_shown(strange)}, which is not a clip name.")
    if not listed:
        raise UserError(f"{where} is empty.")
    return set(map(normal_form, listed))


def _length(names: object) -> int:
    if isinstance(names, PickledArray):
        return names.array.size
    return len(names) if isinstance(names, list | tuple | set | frozenset) else 0


def _shown(value: object) -> str:
    """Return a value, or the type of a container, as text; a small pickle can hold an endless container."""
    if isinstance(value, str | int | float | None):
        return repr(str(value)[:_SHOWN])
    return _kind(value)


def _kind(value: object) -> str:
    if isinstance(value, PickledArray):
        return f"an array of {value.array.dtype}"
    return "nothing" if value is None else f"a value of the type {type(value).__name__}"
