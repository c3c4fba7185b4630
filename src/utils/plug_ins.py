"""Plug-ins: modules of a package, found by their file's name and imported only when used."""

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .config import Layer, merge, unknown_name
from .errors import UserError
from .foreign_text import short


@dataclass
class NoSettings:
    """The settings of a plug-in without configuration keys."""


def plug_in_names(package: str) -> list[str]:
    """Return the names of a package's modules in alphabetical order, without importing any of them."""
    return sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__))


def find_plug_in(package: str, name: str, what: str, others: Sequence[str] = ()) -> Any:
    """Import a package's module by its name and return it.

    Args:
        package: its full name, such as `last.training.optimizers`.
        name: the module's name in the package.
        what: the kind of the modules for the message, such as `optimizer`.
        others: further names that can be chosen.

    Raises:
        UserError: there is no such module; the message has the nearest name and all names.
    """
    names = plug_in_names(package)
    if name not in names:
        known = [*others, *names]
        raise UserError(
            unknown_name(what, name, known)
            if known
            else f"There is no {what} {short(name)}, nor any other yet: docs/extending.md shows how to add one."
        )
    return import_module(f"{package}.{name}")


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
