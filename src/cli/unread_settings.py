"""Which `--set` keys of a data set a preparation does not read, so that none is given in vain."""

from collections.abc import Collection, Sequence

from ..settings.data import LOADING_KEYS, DataConfig
from ..utils.config import override_layer
from ..utils.dotted_keys import flatten
from ..utils.errors import UserError


def refuse_loading_settings(assignments: Sequence[str]) -> None:
    """Refuse settings that decide how clips are loaded, beside a data YAML, which they would not be written into.

    Args:
        assignments: the `key=value` texts of `--set`.

    Raises:
        UserError: there is one.
    """
    unread = [key for key in _keys_below_data(assignments) if key.split(".")[0] in LOADING_KEYS]
    if unread:
        raise UserError(
            f"--set {_named(unread)} no effect on a preparation, since clips are kept as recorded. It is read when "
            "they are loaded: give it to the training, or write it into the data YAML."
        )


def refuse_unread_intervals(assignments: Sequence[str], config: DataConfig) -> None:
    """Refuse settings of `data.intervals` that change nothing beside the others.

    Args:
        assignments: the `key=value` texts of `--set`.
        config: the data set that they and the other options make.

    Raises:
        UserError: there is one.
    """
    given = [key.removeprefix("intervals.") for key in _keys_below_data(assignments) if key.startswith("intervals.")]
    for why, keys in config.intervals.unread().items():
        if unread := [f"intervals.{key}" for key in given if key in keys]:
            raise UserError(f"--set {_named(unread)} no effect {why}.")


def _keys_below_data(assignments: Sequence[str]) -> list[str]:
    """Return the dotted keys below `data` that are set."""
    return [key.removeprefix("data.") for key in flatten(override_layer(assignments).values) if key.startswith("data.")]


def _named(keys: Collection[str]) -> str:
    """Return keys with their verb, such as `data.max_gap has`."""
    return f"{', '.join(f'data.{key}' for key in keys)} {'has' if len(keys) == 1 else 'have'}"
