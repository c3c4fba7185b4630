"""The report of a search: its table, what is said about it, and its files."""

import math
from dataclasses import asdict
from statistics import NormalDist, median
from typing import Any

from ...evaluation.intervals import LEVEL
from ...runs.folder import SEARCH_FILE
from ...utils.files import write_json, write_text
from ...utils.markdown import markdown_table
from ...utils.numbers import counted
from ..sweep.plan import BASELINE
from ..sweep.report import shown_parts
from ..sweep.results import DIVERGED, FAILED, METRIC, VariantResult
from .plan import Candidate, Search
from .recipe import RECIPE_FILE, recipe_text, train_command
from .results import Stage, Standing

_OWN = "recipe"  # how the recipe's own settings are named in tables


def columns(search: Search) -> list[str]:
    """Return the titles of the table's columns."""
    keys = [each.key for each in search.settings]
    parts = [f"{part} %" for part in shown_parts(search.parts)]
    together = "all parts %" if len(search.parts) > 1 else f"{METRIC.title} %"
    difference = f"difference [{LEVEL:.0%} interval]"
    return ["candidate", *keys, "epochs", "seeds", *parts, together, difference, "core-hours"]


def rows(search: Search, standing: Standing, most: int | None = None) -> list[list[str]]:
    """Return the cells of the candidates, those with the longest schedules first, and of each length the best first.

    Args:
        search: the search.
        standing: its results.
        most: how many candidates of each length are shown, beside the recipe's own settings; by default all.
    """
    found = []
    for stage in reversed(standing.stages):
        shown = [each for number, each in enumerate(stage.ordered) if most is None or number < most]
        found += [_row(search, stage, each) for each in shown]
        if not any(each.variant == BASELINE for each in shown):
            found += [_row(search, stage, each) for each in stage.results[:1]]
    return found


def _row(search: Search, stage: Stage, result: VariantResult) -> list[str]:
    values = search.candidate(result.variant).values
    parts = [result.of_parts[part].text() for part in shown_parts(search.parts)]
    known = result.together.known
    return [
        _shown_name(result.variant),
        *(values.get(each.key, "") for each in search.settings),
        str(stage.epochs),
        str(result.runs[0] // len(search.parts)),
        *parts,
        result.together.text() if known else stage.problem(result.variant) or "-",
        result.difference.text() if result.difference else "",
        f"{result.hours:.2g}",
    ]


def _shown_name(name: str) -> str:
    return _OWN if name == BASELINE else name


def notes(search: Search, standing: Standing) -> list[str]:
    """Return sentences that say how the table is to be read, and how far its figures can be trusted."""
    clips = "held-out training clips" if standing.stages[0].plan.runs[0].subset == "val" else "tested training clips"
    text = [
        f"{METRIC.title} of the last epoch on {clips}; each length of the schedule is a training of its own. A "
        f"difference is the candidate minus the recipe's own settings with the same length, clips and seeds, in points."
    ]
    if standing.best() is None:
        return text
    chance = optimism(standing)
    if chance is not None:
        text.append(
            f"The best of {standing.tried} looks better than it is: of as many equally good candidates, the best would "
            f"lead by about {chance:.1f} points by chance alone. Expect that much less on other clips."
        )
    text += _lack_of_seeds(search, standing)
    text += _gain_of_length(standing)
    return text


def _lack_of_seeds(search: Search, standing: Standing) -> list[str]:
    """Return a sentence about intervals that are of one seed, if there are some."""
    found = [each.difference.seeds for stage in standing.stages for each in stage.results if each.difference]
    if len(search.spec.seeds) == 1:
        return ["One seed: the intervals lack the noise of training. Confirm the choice with --seeds 0,1,2."]
    return ["Intervals of one seed lack the noise of training."] if 1 in found else []


def optimism(standing: Standing) -> float | None:
    """Return by how many points the best of the candidates leads by chance if all are equally good; None if unknown.

    It is the expected maximum of as many normal deviates (Blom, Statistical Estimates and Transformed Beta-Variables,
    1958), times the standard error of one candidate. A difference has the errors of two: of the candidate and of the
    recipe's own settings.
    """
    best = standing.best()
    found = [each.difference for each in best[0].compared if each.difference] if best else []
    tried = standing.tried
    if not found or tried < 2:
        return None
    error_of_two = median(each.resolution for each in found) / NormalDist().inv_cdf((1 + LEVEL) / 2)
    return NormalDist().inv_cdf((tried - 0.375) / (tried + 0.25)) * error_of_two / math.sqrt(2)


def _gain_of_length(standing: Standing) -> list[str]:
    """Return a sentence with what the longest schedule brought to the candidates that were also trained shorter."""
    if len(standing.stages) < 2:
        return []
    before, after = standing.stages[-2:]
    shorter = {each.variant: each.together.mean for each in before.results if each.together.known}
    longer = {each.variant: each.together.mean for each in after.results if each.together.known}
    gains = [longer[name] - shorter[name] for name in longer if name in shorter]
    if not gains:
        return []
    return [
        f"From {before.epochs} to {after.epochs} epochs {counted(len(gains), 'training')} gained "
        f"{sum(gains) / len(gains):+.1f} points{' on average' if len(gains) > 1 else ''}."
    ]


def choice(search: Search, standing: Standing) -> list[str]:
    """Return sentences with the best settings and the command that trains them in full; empty without a result."""
    found = standing.best()
    if found is None:
        return []
    stage, result = found
    best = search.candidate(result.variant)
    return [
        f"Best: {_chosen(best, stage, standing)}.",
        f"To train it in full: {train_command(search, best)}",
        f"The same as a recipe: {search.folder / RECIPE_FILE}",
    ]


def _chosen(best: Candidate, stage: Stage, standing: Standing) -> str:
    """Return the best settings, with the stage that decided it, and what was not compared."""
    compared, epochs = len(stage.compared), counted(stage.epochs, "epoch")
    if not compared:
        return f"the recipe's own settings; no candidate could be compared with them; {epochs}"
    if best.values:
        what = ", ".join(best.changes)
        own = "" if stage.results[0].together.known else "; the recipe's own settings have no result there"
    else:
        what, own = f"the recipe's own settings; no candidate was better, of {compared} that could be compared", ""
    longer = [str(each.epochs) for each in standing.stages if each.epochs > stage.epochs]
    return f"{what}; {epochs}{own}" + (f"; with {' or '.join(longer)}, no candidate could be compared" * bool(longer))


def write_search(search: Search, standing: Standing) -> None:
    """Write `search.md`, `search.json` and, once there is a result, the best recipe into the search's folder.

    Raises:
        UserError: they cannot be written, or a run's files cannot be read.
    """
    write_json(search.folder / SEARCH_FILE, _facts(search, standing))
    if not standing.stages:
        return
    write_text(search.folder / "search.md", _markdown(search, standing))
    if (found := standing.best()) is not None:
        stage, result = found
        text = recipe_text(search, search.candidate(result.variant), stage.epochs, result)
        write_text(search.folder / RECIPE_FILE, text)


def _markdown(search: Search, standing: Standing) -> str:
    title = f"# Search for {search.title}: {', '.join(search.parts)}"
    searched = [f"- `{each.text()}`" for each in search.settings]
    problems = [
        f"- {each.run.title}, {stage.epochs} epochs: {each.text()}"
        for stage in standing.stages
        for each in stage.outcomes
        if each.status in (DIVERGED, FAILED)
    ]
    table = markdown_table(columns(search), rows(search, standing))
    spent = f"{standing.times.spent_s / 3600:.2g} of {search.budget_hours:g} hours are spent."
    texts = ["\n".join(searched), " ".join(filter(None, [spent, standing.planned and f"{standing.planned}."]))]
    blocks = [title, *texts, table, " ".join(notes(search, standing)), *choice(search, standing), "\n".join(problems)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _facts(search: Search, standing: Standing) -> dict[str, Any]:
    """Return the content of `search.json`; an unknown number is None."""
    return {
        "options": asdict(search.spec),
        "searched": [asdict(each) for each in search.settings],
        "epochs": list(search.lengths),
        "budget_hours": search.budget_hours,
        **standing.times.facts(),
        "jobs": standing.jobs,
        "best": None if (found := standing.best()) is None else [found[1].variant, found[0].epochs],
        "optimism_points": optimism(standing) if standing.stages else None,
        "stages": [
            {
                "epochs": stage.epochs,
                "candidates": [
                    {
                        "candidate": each.variant,
                        "settings": dict(search.candidate(each.variant).values),
                        "problem": stage.problem(each.variant),
                        "parts": {part: spread.facts() for part, spread in each.of_parts.items()},
                        "together": each.together.facts(),
                        "difference": None if each.difference is None else asdict(each.difference),
                        "runs": each.runs[0],
                        "core_hours": each.hours,
                    }
                    for each in stage.ordered
                ],
            }
            for stage in standing.stages
        ],
    }
