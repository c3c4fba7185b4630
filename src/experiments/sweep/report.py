"""The report of a sweep: its table, what is to be said about it, and `sweep.md` and `sweep.json`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...evaluation.intervals import LEVEL
from ...runs.folder import SWEEP_FILE
from ...utils.files import write_json, write_text
from ...utils.markdown import markdown_table
from ...utils.numbers import counted
from .plan import BASELINE, SweepPlan
from .results import DIVERGED, DONE, FAILED, FINAL, METRIC, Outcome, VariantResult, compare

_MOST_PARTS_SHOWN = 3  # of more parts only what they have together is shown


def columns(plan: SweepPlan) -> list[str]:
    """Return the titles of the table's columns."""
    parts = [f"{part} %" for part in shown_parts(plan.parts)]
    together = [f"{METRIC.title} %"] if len(plan.parts) == 1 else ["all parts %", "mean of parts %"]
    return ["variant", *parts, *together, f"difference [{LEVEL:.0%} interval]", "verdict", "runs", "core-hours"]


def row(plan: SweepPlan, result: VariantResult) -> list[str]:
    """Return the cells of a variant."""
    difference = result.difference
    return [
        result.variant,
        *(result.of_parts[part].text() for part in shown_parts(plan.parts)),
        result.together.text(),
        *([result.over_parts.text()] if len(plan.parts) > 1 else []),
        difference.text() if difference else "-" if result.variant != BASELINE else "",
        difference.verdict if difference else "",
        "{} of {}".format(*result.runs),
        f"{result.hours:.2g}",
    ]


def shown_parts(parts: Sequence[str]) -> Sequence[str]:
    """Return the parts that have a column of their own."""
    return parts if 1 < len(parts) <= _MOST_PARTS_SHOWN else []


def compared_clips(plan: SweepPlan) -> str:
    """Return by which clips the variants are compared, as text."""
    return "held-out training clips" if plan.runs[0].subset == "val" else "test clips"


def notes(plan: SweepPlan, results: Sequence[VariantResult]) -> list[str]:
    """Return sentences that say how the table is to be read, and what it cannot tell."""
    found = [each.difference for each in results if each.difference is not None]
    seeds, clips = len(plan.spec.seeds), compared_clips(plan)
    text = [
        f"{METRIC.title} of the last epoch on the {clips}, mean ± standard deviation over {counted(seeds, 'seed')}. "
        "A difference is the variant minus the baseline on the same clips and seeds, in points, with a bootstrap "
        f"interval over clips{' and seeds' if seeds > 1 else ''}."
    ]
    if any(each.agrees for each in found):
        text.append("An interval without width says nothing: the trainings differ on all clips alike, or on none.")
    if len(plan.parts) > 1:
        text.append(
            "All parts: every clip counts the same in each part that tests it, and so it does in the differences; mean "
            "of parts: every part does, as results on folds are usually reported."
        )
    if least := max((each.resolution for each in found), default=0.0):
        text.append(f"Differences below about {least:.1f} points cannot be told from none by these runs.")
    if seeds == 1 and found:
        text.append("One seed: the intervals lack the noise of training. Confirm a result with --seeds 0,1,2.")
    elif lacking := [each.variant for each in results if each.difference is not None and each.difference.seeds == 1]:
        text.append(f"Of one seed so far, so that the interval lacks the noise of training: {', '.join(lacking)}.")
    if len(found) > 1:
        chance = 1 - LEVEL ** len(found)
        text.append(
            f"Of {len(found)} variants without any effect, at least one would look decided with a probability of "
            f"up to {chance:.0%}."
        )
    if plan.reported:
        text.append(
            f"{plan.reported} is the protocol on which results of this data set are reported. A choice made by it is "
            "made on the test clips, and its figures are then too good: sweep over parts of the training clips."
        )
    return text


def write_results(plan: SweepPlan, outcomes: Sequence[Outcome]) -> None:
    """Write `sweep.md` and `sweep.json` into the sweep's folder.

    Raises:
        UserError: they cannot be written, or a run's files cannot be read.
    """
    results = compare(plan, outcomes)
    write_text(plan.folder / "sweep.md", _markdown(plan, results, outcomes))
    write_json(plan.folder / SWEEP_FILE, _facts(plan, results, outcomes))


def _markdown(plan: SweepPlan, results: Sequence[VariantResult], outcomes: Sequence[Outcome]) -> str:
    table = markdown_table(columns(plan), [row(plan, each) for each in results])
    changes = [f"- `{each.variant}`: {', '.join(f'`{text}`' for text in each.changes)}" for each in results[1:]]
    problems = [f"- {each.run.title}: {each.text()}" for each in outcomes if each.status in (DIVERGED, FAILED)]
    title = f"# Sweep of {plan.runs[0].config.title}: {', '.join(plan.parts)}"
    blocks = [title, table, "\n".join(changes), " ".join(notes(plan, results)), "\n".join(problems)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _facts(plan: SweepPlan, results: Sequence[VariantResult], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the content of `sweep.json`; an unknown number is None."""
    return {
        "settings": asdict(plan.spec),
        "parts": plan.parts,
        "variants": [
            {
                "variant": each.variant,
                "changes": list(each.changes),
                "parts": {part: spread.facts() for part, spread in each.of_parts.items()},
                "together": each.together.facts(),
                "over_parts": each.over_parts.facts(),
                "difference": None if each.difference is None else asdict(each.difference),
                "core_hours": each.hours,
            }
            for each in results
        ],
        "runs": [
            {
                "variant": each.run.variant,
                "part": each.run.part,
                "seed": each.run.seed,
                "status": each.status,
                "reason": each.reason,
                "run": None if each.folder is None else each.folder.relative_to(plan.folder).as_posix(),
                FINAL: each.accuracy if each.measured else None,
                "core_hours": each.hours if each.status == DONE else None,
            }
            for each in outcomes
        ],
    }
