"""Plug-ins: modules of a package, found by their file's name and imported only when used."""

import pkgutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any, NamedTuple

from .config import Layer, configuration_error, merge, unknown_name
from .errors import UserError
from .extras import fault_of
from .foreign_text import short
from .limits import annotations_of
from .plug_in_files import FOUND


@dataclass
class NoSettings:
    """The settings of a plug-in without configuration keys."""


class Need(NamedTuple):
    """What a module must have under a name, in words and as a test."""

    what: str
    fits: Callable[[Any], bool]


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(each, str) for each in value)


CLASS = Need("a class", lambda value: isinstance(value, type))
TEXTS = Need("a tuple of texts", _are_texts)
SOME_TEXTS = Need("a tuple of at least one text", lambda value: _are_texts(value) and bool(value))
SWITCH = Need("True or False", lambda value: isinstance(value, bool))
NUMBER = Need("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))


def function_of(*arguments: str) -> Need:
    """Return the need of a function that can be called with arguments of these names, in this order."""

    def fits(value: Any) -> bool:
        if not callable(value):
            return False
        try:
            signature(value).bind(*arguments)
        except TypeError:
            return False
        except ValueError:  # some functions of C have no signature
            return True
        return True

    return Need(f"a function of ({', '.join(arguments)})", fits)


def one_of(*values: Any) -> Need:
    """Return the need of one of some values."""
    return Need(f"one of {', '.join(map(repr, values))}", lambda value: value in values)


def instance_of(kind: type) -> Need:
    """Return the need of an instance of a class."""
    return Need(_with_article(kind.__name__), lambda value: isinstance(value, kind))


def subclass_of(kind: type) -> Need:
    """Return the need of a class based on another."""
    return Need(f"a class based on {kind.__name__}", lambda value: isinstance(value, type) and issubclass(value, kind))


@dataclass(frozen=True)
class Kind:
    """A kind of plug-in.

    Attributes:
        package: the full name of its package, such as `last.training.optimizers`.
        what: its name in messages, such as `optimizer`.
        built_in: names that can be chosen besides those of the modules.
        reserved: other names that a module may not have, since they have a meaning where the kind is chosen.
        parts: modules of the package that are no plug-ins.
        needs: what a module must have, by name.
    """

    package: str
    what: str
    built_in: Sequence[str] = ()
    reserved: Sequence[str] = ()
    parts: Sequence[str] = ()
    needs: Mapping[str, "Need"] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the names that can be chosen, the built-in ones first, without importing any module."""
        taken = {*self.built_in, *self.reserved, *self.parts}
        return [*self.built_in, *(name for name in plug_in_names(self.package) if name not in taken)]

    def find(self, name: str) -> Any:
        """Import a module by its name and return it; return None for a built-in name.

        Raises:
            UserError: there is no such module, it cannot be imported or lacks something, or the file of one has a name
                that it may not have.
        """
        self._refuse_taken_names()
        names = self.names()
        if not names:
            raise UserError(
                f"There is no {self.what} {short(name)}, nor any other yet: docs/extending.md shows how to add one."
            )
        if name not in names:
            raise UserError(unknown_name(self.what, name, names))
        return None if name in self.built_in else self._checked(name)

    def file_of(self, name: str) -> str:
        """Return the file of a module, which is not imported."""
        spec = find_spec(f"{self.package}.{name}")
        return str(spec.origin if spec is not None and spec.origin else f"{name}.py")

    def _checked(self, name: str) -> Any:
        """Import a module and check that it has what its kind needs: a fault in it is no defect of LAST."""
        file = self.file_of(name)
        try:
            module = import_module(f"{self.package}.{name}")
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:  # an import can raise any exception
            problems = [f"cannot be imported ({fault_of(error)}{_line_in(file, error)})"]
        else:
            problems = [*self._lacking(module), *_settings_problems(module)]
            if not problems:
                FOUND[file] = self.what
                return module
        about = f"docs/extending.md shows what {_with_article(self.what)} needs"
        raise UserError(f"{file} {'; '.join(problems)}: {about}.")

    def _lacking(self, module: Any) -> Iterator[str]:
        """Yield what a module lacks, or has in a wrong form."""
        for name, need in self.needs.items():
            if not hasattr(module, name):
                yield f"has no `{name}`, {need.what}"
            elif not need.fits(getattr(module, name)):
                yield f"has `{name}` = {short(getattr(module, name))}, which should be {need.what}"

    def _refuse_taken_names(self) -> None:
        """Refuse modules that could not be chosen: their names have another meaning."""
        for name in plug_in_names(self.package):
            if name in self.built_in:
                raise UserError(f"{self.file_of(name)} has the name of a built-in {self.what}. Rename the file.")
            if name in self.reserved:
                raise UserError(
                    f"{self.file_of(name)}: {_with_article(self.what)} cannot have the name {name!r}, which has "
                    "another meaning. Rename the file."
                )


def plug_in_names(package: str) -> list[str]:
    """Return the names of a package's modules in alphabetical order, without importing any of them."""
    return sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__))


def plug_in_settings(plug_in: Any, layers: Sequence[Layer]) -> Any:
    """Return the settings of a plug-in: its dataclass `Settings` with the values of `layers`, the lowest first.

    Raises:
        UserError: keys are unknown or values invalid; all of them in one message.
    """
    settings = getattr(plug_in, "Settings", NoSettings)()
    if isinstance(settings, NoSettings) and any(layer.values for layer in layers):
        raise configuration_error(
            [f"{each.origin}: {key}: unknown key; this choice has no keys." for each in layers for key in each.values]
        )
    return merge(settings, layers)


def settings_from(plug_in: Any, values: Mapping[str, Any], key: str) -> Any:
    """Return the settings of a plug-in from the plain values in the configuration at `key`.

    Raises:
        UserError: see `plug_in_settings`.
    """
    return plug_in_settings(plug_in, [Layer(key, values)])


def _settings_problems(module: Any) -> Iterator[str]:
    """Yield why the `Settings` of a module cannot be used."""
    settings = getattr(module, "Settings", NoSettings)
    if not (isinstance(settings, type) and is_dataclass(settings)):
        yield "has `Settings` that is not a dataclass"
        return
    without = [each.name for each in fields(settings) if each.default is MISSING and each.default_factory is MISSING]
    if without:
        yield f"has `Settings` without a default of {', '.join(without)}"
    try:
        annotations_of(settings)
    except (Exception, SystemExit) as error:  # annotations are any Python code
        yield f"has `Settings` whose annotations cannot be read ({fault_of(error)})"


def of_shape(result: Any, shape: Sequence[int], module: Any, function: str) -> Any:
    """Return what a function of a plug-in returned, if it is an array or a tensor of the right shape.

    Raises:
        UserError: it is something else.
    """
    found = getattr(result, "shape", None)
    if found is None or tuple(found) != tuple(shape):
        what = type(result).__name__ if found is None else f"the shape {tuple(found)}"
        raise UserError(
            f"{module.__file__}: `{function}` should return a tensor of the shape {tuple(shape)}, not {what}."
        )
    return result


def _line_in(file: str, error: BaseException) -> str:
    """Return where in a file an error was raised, for a message; empty if the error names the line itself."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


def _with_article(what: str) -> str:
    return f"{'an' if what[0].lower() in 'aeiou' else 'a'} {what}"
