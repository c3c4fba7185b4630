"""The plan of a search: what is varied, its candidates, and their runs with schedules of several lengths."""

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...data.store.protocols import divide
from ...runs.resume import HARMLESS, covers
from ...settings.distillation import CHOICES, DECIDING
from ...settings.run import EmaConfig, RunConfig
from ...utils.dotted_keys import flatten
from ...utils.errors import UserError
from ...utils.names import file_name
from ..computed import computed_text
from ..config import refuse_impossible_seeds
from ..contradictions import refuse_contradictory
from ..run import store_of
from ..split_check import divided_with_warnings, refuse_too_few_clips
from ..sweep.plan import (
    BASELINE,
    OF_ALL,
    OF_PARTS,
    RESERVED,
    SweepPlan,
    SweepRun,
    SweepSpec,
    config_of_run,
    configs_on_parts,
    keys_of,
    on_own_protocol,
    refuse_unused_distillation,
    warn_of_loader_processes,
)
from .budget import ladder, ladder_between
from .space import SearchedSetting, draw, range_ends, searched_setting, split_setting, values_of

_log = logging.getLogger(__name__)

MOST_CANDIDATES = 999
_EPOCHS = "epochs"
_DRAWS_WITHOUT_A_NEW_ONE = 64  # after so many all combinations of lists are taken to be found


@dataclass(frozen=True)
class Candidate:
    """Settings that a search tries: a name, the values by key, and the configuration on each part by its name."""

    name: str
    values: Mapping[str, str]
    parts: Mapping[str, RunConfig]

    @property
    def changes(self) -> list[str]:
        """Return its settings as `key=value`."""
        return [f"{key}={value}" for key, value in self.values.items()]


class Candidates:
    """The candidates of a search, drawn as they are asked for.

    Args:
        own: the recipe's own settings.
        settings: what is searched.
        spec: the options that the search shares with a sweep.
    """

    def __init__(self, own: Candidate, settings: Sequence[SearchedSetting], spec: SweepSpec) -> None:
        self.own = own
        self._drawn: list[Candidate] = []
        self._further = _draw_candidates(own, settings, spec)
        self._most: float = math.prod(each.count for each in settings)

    @property
    def most(self) -> int:
        """Return an upper bound of their number."""
        return int(min(self._most, MOST_CANDIDATES))

    def first(self, count: int) -> list[Candidate]:
        """Return the first `count` candidates; fewer if there are no more.

        Raises:
            UserError: no combination of the searched settings is possible.
        """
        self._drawn.extend(islice(self._further, max(count - len(self._drawn), 0)))
        if len(self._drawn) < count:
            self._most = len(self._drawn)
        return self._drawn[:count]


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        folder: holds the runs, each in `<part>/<candidate>-<epochs>`, and the results.
        settings: what is searched, the number of epochs apart.
        lengths: the numbers of epochs of the schedules, shortest first.
        candidates: draws the candidates.
        budget_hours: how long it may take, all calls together.
        spec: the options that it shares with a sweep.
    """

    folder: Path
    settings: Sequence[SearchedSetting]
    lengths: Sequence[int]
    candidates: Candidates
    budget_hours: float
    spec: SweepSpec

    @property
    def own(self) -> Candidate:
        """Return the recipe's own settings, with which every candidate is compared."""
        return self.candidates.own

    @property
    def parts(self) -> list[str]:
        """Return the names of the parts of the data on which every candidate is trained, in their order."""
        return list(self.own.parts)

    @property
    def title(self) -> str:
        """Return the model and the data set of the recipe's own settings."""
        return next(iter(self.own.parts.values())).title

    def candidate(self, name: str) -> Candidate:
        """Return a candidate, or the recipe's own settings, by its name."""
        return self.own if name == BASELINE else self.candidates.first(int(name[1:]))[-1]

    def plan(self, epochs: int, candidates: Sequence[Candidate], seeds: Sequence[int]) -> SweepPlan:
        """Return the runs of candidates and of the recipe's own settings with one length of the schedule."""
        chosen = [self.own, *candidates]
        runs = [
            SweepRun(each.name, part, self._config(each, part, epochs, seed))
            for seed in seeds
            for each in chosen
            for part in each.parts
        ]
        changes = {each.name: each.changes for each in chosen}
        return SweepPlan(self.folder, runs, changes, "", replace(self.spec, seeds=seeds))

    def _config(self, candidate: Candidate, part: str, epochs: int, seed: int) -> RunConfig:
        folder = self.folder / file_name(part) / f"{candidate.name}-{epochs}"
        return config_of_run(
            replace(candidate.parts[part], epochs=epochs, max_hours=0.0), folder, seed, self.spec.threads
        )


def plan_search(spec: SweepSpec, searched: Sequence[str], budget_hours: float) -> Search:
    """Return the plan of a search; the ends of all ranges are resolved and validated.

    Args:
        spec: the options of a sweep without variants; with the last length of the schedule all seeds are trained, with
            the others the first.
        searched: texts `key=LOW..HIGH` and `key=VALUE,VALUE`; the values of `epochs` are the lengths of the schedules.
        budget_hours: how long it may take.

    Raises:
        UserError: a key or value is impossible, or set elsewhere too, the recipe's own settings contradict each other,
            or nothing but the number of epochs is searched.
    """
    refuse_impossible_seeds("--seeds", spec.seeds)
    texts = _by_key(searched, spec)
    lengths = _lengths(texts.pop(_EPOCHS)) if _EPOCHS in texts else []
    if not texts:
        raise UserError(
            "--search epochs=... gives the lengths of the schedules. Search at least one other setting too, such as "
            "--search learning_rate=0.05..0.8"
        )
    spec = replace(spec, flags={**spec.flags, _EPOCHS: lengths[-1]}) if lengths else spec
    parts = configs_on_parts(spec, [], "")
    refuse_unused_distillation(_decided(texts), parts.values(), "--search")
    _refuse_contradictory(parts)
    first = next(iter(parts.values()))
    warn_of_loader_processes(spec, first.hardware.num_workers)
    lengths = lengths or ladder(first.epochs)

    def value_of(key: str, text: str) -> Any:
        try:
            config = spec.resolved([*spec.settings, f"{key}={text}"], spec.flags)
        except UserError as error:
            problems = [each.removeprefix("--set: ").removeprefix(f"{key}: ") for each in error.problems]
            raise UserError(f"--search {key}: {' '.join(problems) or error}") from error
        return flatten(asdict(config)).get(key)

    settings = [searched_setting(key, text, value_of) for key, text in texts.items()]
    _warn_of_long_averages(settings, first.ema, lengths[0])
    name = file_name(spec.name or f"{first.data.name}-{first.model.name}")
    folder = Path(first.output_root) / f"search-{name}"
    candidates = Candidates(Candidate(BASELINE, {}, parts), settings, spec)
    return Search(folder, settings, lengths, candidates, budget_hours, spec)


def refuse_unsuitable_clips(search: Search) -> None:
    """Refuse to choose by clips on which results of the data set are reported: those that its own protocol tests.

    Parts with too few clips are refused too, since every run would fail on them. Other faults of the parts are
    warned of, since the runs write their warnings into their own logs.

    Raises:
        UserError: a part trains or tests with such clips, is empty or has too few clips, or the data are missing.
    """
    own = on_own_protocol(search.spec).data
    store = store_of(next(iter(search.own.parts.values())))
    reported = set(divide(store.clips, own).test.tolist())
    for part, config in search.own.parts.items():
        parts = divided_with_warnings(store, config.data)
        used = {*parts.train.tolist(), *(parts.test.tolist() if config.validation != "split" else ())}
        if shared := used & reported:
            raise UserError(
                f"{part} has {len(shared):,} clips that {own.split} tests, on which results of {own.name} are "
                "reported. A search would choose by them, and the results would be too good. Choose by training clips: "
                "hold some out with --set validation=split, or name a protocol of the training part with --splits, or "
                "use folds of it (--split_by subject --folds 5 with --set data.select...)."
            )
        refuse_too_few_clips(config, store, parts, part)


def _by_key(searched: Sequence[str], spec: SweepSpec) -> dict[str, str]:
    """Return the range or list of each searched key, as text."""
    texts: dict[str, str] = {}
    elsewhere = {
        **{key: "--set" for text in spec.settings for key in keys_of(text)},
        **{key: f"--{key}" for key, value in spec.flags.items() if value is not None},
    }
    for key, text in map(split_setting, searched):
        if key in texts:
            raise UserError(f"--search {key} is given twice. Give one range or list.")
        if key in RESERVED:
            raise UserError(f"--search {key} is not possible: it is set by {RESERVED[key]}.")
        if covers((*OF_ALL, *OF_PARTS), key):
            raise UserError(f"--search {key} is not possible, since it decides by which clips candidates are compared.")
        if covers(HARMLESS, key):
            raise UserError(f"--search {key} is not possible, since it does not change what a training computes.")
        if key in elsewhere:
            raise UserError(f"{key} is given by {elsewhere[key]} and by --search. Leave one of them out.")
        texts[key] = text
    for key in elsewhere:
        if key in RESERVED and elsewhere[key] == "--set":
            raise UserError(f"--set {key}=... has no effect: in a search it is set by {RESERVED[key]}.")
    return texts


def _decided(keys: Collection[str]) -> Collection[str]:
    """Return the searched keys without those of distillation whose effect depends on other searched ones."""
    if any(f"distillation.{name}" in keys for name in CHOICES):
        return []
    return [key for key in keys if key.removeprefix("distillation.") in DECIDING] or keys


def _refuse_contradictory(parts: Mapping[str, RunConfig], title: str = "the recipe's own settings") -> None:
    for part, config in parts.items():
        refuse_contradictory(f"{title} on {part}", config)


def _lengths(text: str) -> list[int]:
    """Return the lengths of the schedules from a range or list of epochs."""
    if ".." in text:
        low, high = range_ends(_EPOCHS, text)
        if low.is_integer() and high.is_integer() and low >= 1:
            return ladder_between(int(low), int(high))
    values = values_of(text)
    if all(map(str.isdecimal, values)) and len(found := sorted(set(map(int, values)))) == len(values) and found[0]:
        return found
    raise UserError(
        f"--search epochs={text}: the lengths of the schedules should be different integers above 0, such as "
        "epochs=8,24,70 or epochs=8..70"
    )


def _warn_of_long_averages(settings: Sequence[SearchedSetting], own: EmaConfig, shortest: int) -> None:
    """Warn of an average of the last epochs that is one of all epochs with the shortest schedule."""
    searched = [each.largest for each in settings if each.key == "ema.last_epochs"]
    if warning := EmaConfig(last_epochs=int(max(searched, default=own.last_epochs))).warning(shortest):
        _log.warning(f"With the shortest schedule {warning} They are counted in each schedule, short or long.")


def _draw_candidates(own: Candidate, settings: Sequence[SearchedSetting], spec: SweepSpec) -> Iterator[Candidate]:
    """Yield the candidates, each computing something else than those before; combinations that contradict are left out.

    Raises:
        UserError: there is none.
    """
    seen = {computed_text(own.parts)}
    missed, refusal = 0, None
    for values in draw(settings):
        if missed == _DRAWS_WITHOUT_A_NEW_ONE or len(seen) > MOST_CANDIDATES:
            break
        missed += 1
        try:
            parts = configs_on_parts(spec, [f"{key}={value}" for key, value in values.items()], "--search")
            _refuse_contradictory(parts, "--search")
        except UserError as error:
            refusal = error
            continue
        found = Candidate(f"c{len(seen):03}", values, parts)
        if (text := computed_text(parts)) not in seen:
            seen.add(text)
            missed = 0
            yield found
    if len(seen) == 1:
        raise refusal or UserError(
            "--search: all candidates compute the same as the recipe's own settings, though "
            f"{' and '.join(each.key for each in settings)} differ. Search values that change what is computed."
        )
