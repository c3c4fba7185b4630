"""Plug-ins: modules of a package, found by their file's name and imported only when used."""

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .config import Layer, merge, unknown_name
from .errors import UserError
from .foreign_text import short


@dataclass
class NoSettings:
    """The settings of a plug-in without configuration keys."""


@dataclass(frozen=True)
class Kind:
    """A kind of plug-in.

    Attributes:
        package: the full name of its package, such as `last.training.optimizers`.
        what: its name in messages, such as `optimizer`.
        built_in: names that can be chosen besides those of the modules.
        reserved: other names that a module may not have, since they have a meaning where the kind is chosen.
        parts: modules of the package that are no plug-ins.
    """

    package: str
    what: str
    built_in: Sequence[str] = ()
    reserved: Sequence[str] = ()
    parts: Sequence[str] = ()

    def names(self) -> list[str]:
        """Return the names that can be chosen, the built-in ones first, without importing any module."""
        taken = {*self.built_in, *self.reserved, *self.parts}
        return [*self.built_in, *(name for name in plug_in_names(self.package) if name not in taken)]

    def find(self, name: str) -> Any:
        """Import a module by its name and return it; return None for a built-in name.

        Raises:
            UserError: there is no such module, or the file of one has a name that it may not have.
        """
        self._refuse_taken_names()
        names = self.names()
        if not names:
            raise UserError(
                f"There is no {self.what} {short(name)}, nor any other yet: docs/extending.md shows how to add one."
            )
        if name not in names:
            raise UserError(unknown_name(self.what, name, names))
        return None if name in self.built_in else import_module(f"{self.package}.{name}")

    def file_of(self, name: str) -> str:
        """Return the file of a module, which is not imported."""
        spec = find_spec(f"{self.package}.{name}")
        return str(spec.origin if spec is not None and spec.origin else f"{name}.py")

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
    for layer in layers if isinstance(settings, NoSettings) else ():
        if layer.values:
            keys = ", ".join(map(str, layer.values))
            raise UserError(f"{layer.origin}: {keys}: unknown key; this choice has no keys.")
    return merge(settings, layers)


def settings_from(plug_in: Any, values: Mapping[str, Any], key: str) -> Any:
    """Return the settings of a plug-in from the plain values in the configuration at `key`.

    Raises:
        UserError: see `plug_in_settings`.
    """
    return plug_in_settings(plug_in, [Layer(key, values)])


def _with_article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
