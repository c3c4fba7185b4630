"""The folds that a user chooses, as protocols of a data set."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig, ProtocolConfig
from ...settings.splits import MOST_FOLDS, PROPERTIES, FoldChoice
from ...utils.errors import UserError
from ...utils.numbers import counted
from .protocols import known_values
from .recordings import RECORDING

_VALUES_NAMED = 20
_FEWEST_VALUES = 2


def fold_protocols(data: DataConfig, clips: NDArray[np.void], choice: FoldChoice) -> list[DataConfig]:
    """Return the data set once for each fold, with that fold as its default protocol.

    Raises:
        UserError: there are fewer values than folds, or no such fold.
    """
    values = known_values(clips, data, choice.by)
    folds = choice.folds or len(values)
    if folds > len(values) or not 2 <= folds <= MOST_FOLDS:
        raise UserError(
            f"--split_by {choice.by} --folds {choice.folds or 'all'}: {data.name} has "
            f"{_described(clips, values, choice.by)}. {_remedy(len(values))}"
        )
    if choice.fold > folds:
        raise UserError(f"--fold {choice.fold} should be 1 to {folds}, one of the folds.")
    names = {fold: f"{choice.by}_fold{fold}of{folds}" for fold in range(1, folds + 1)}
    rules = {fold: ProtocolConfig(by=choice.by, folds=folds, fold=fold) for fold in names}  # type: ignore[arg-type]
    return [replace(data, split=name, protocols={**data.protocols, name: rules[fold]}) for fold, name in names.items()]


def _described(clips: NDArray[np.void], values: NDArray[np.int64], by: str) -> str:
    """Return the number of what can be divided, and its first values."""
    if by not in PROPERTIES:
        if RECORDING in (clips.dtype.names or ()):
            return f"{counted(len(values), 'recording')} (the clips of one recording stay together)"
        return counted(len(values), "clip")
    more = ", ..." if len(values) > _VALUES_NAMED else ""
    named = f" ({', '.join(map(str, values[:_VALUES_NAMED].tolist()))}{more})" if len(values) else ""
    return f"{counted(len(values), f'known {by}')}{named}"


def _remedy(values: int) -> str:
    if values < _FEWEST_VALUES:
        return "Divide by something else, such as --split_by file."
    return f"Choose {f'2 to {min(values, MOST_FOLDS):,}' if values > _FEWEST_VALUES else 2} folds."
