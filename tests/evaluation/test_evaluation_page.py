"""The page of an evaluation: what it shows, of few and of very many classes and clips, and as a browser shows it."""

import html
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from html_pages import HOSTILE_NAMES, Elements, browser, opened
from png_files import picture_size

from last.evaluation.details import confusions_of, correct_clips, share_of
from last.evaluation.evaluate import evaluate
from last.evaluation.findings import (
    ClassEstimate,
    ComparisonResult,
    Cost,
    Details,
    EnsembleResult,
    EpochResult,
    Estimate,
    Extras,
    MemberResult,
    Point,
    RobustnessCurve,
    StreamResult,
    TestTimeResult,
)
from last.evaluation.metrics import Predictions, measure
from last.evaluation.page import PageContent, TrainingRows, confused_together, write_evaluation_page
from last.evaluation.reliability import measure_reliability
from last.evaluation.request import EvalRequest, Further
from last.plots.player import PlayedClip, Version
from last.runs.folder import RunFolder
from last.skeleton import load_layout
from last.utils.errors import UserError

LAYOUT = load_layout("sbu15")
FACTS = {"model": "nano_e", "dataset": "gestures", "split": "xsub", "subset": "test", "epoch": "19"}
FACTS |= {"date": "2026-11-27T10:00:00+00:00", "checkpoint": "runs/a/last.pth", "store": "abc", "last": "0.2.0"}
ABOUT_HALF = Estimate(50.0, 40.0, 60.0)


def predicted(clips: int, classes: int, empty: int = 0) -> Predictions:
    """Return predictions of clips of all classes but the last `empty` ones."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes - empty, clips)
    logits = random.normal(0, 1, (clips, classes)) + 3 * np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions([f"clip {number}" for number in range(clips)], labels, scores.astype(np.float32))


def clip_of(number: int) -> PlayedClip:
    joints = np.random.default_rng(number).uniform(-0.8, 0.8, (1, 9, 15, 3))
    return PlayedClip(f"clip {number}", LAYOUT, [Version(joints)], "wave")


def content_of(
    clips: int = 60, names: Sequence[str] = ("wave", "clap", "walk", "sit", "run", "jump"), empty: int = 0
) -> PageContent:
    predictions = predicted(clips, len(names), empty)
    metrics = measure(predictions, len(names))
    correct = correct_clips(predictions)
    classes = [
        ClassEstimate(
            each.index, share_of(correct[predictions.labels == each.index]) if each.clips else None, "no clips"
        )
        for each in metrics.per_class
    ]
    details = Details(
        0.95,
        2000,
        share_of(correct),
        ABOUT_HALF,
        classes,
        confusions_of(metrics),
        int((~correct).sum()),
        measure_reliability(predictions, predicted(30, len(names))),
        [StreamResult("joint", ABOUT_HALF, ABOUT_HALF)],
        "",
        [EpochResult("best epoch, chosen on the test part", 12, ABOUT_HALF, False)],
        ABOUT_HALF,
        "",
        Cost(80_000, 12_000_000, "32 frames of 15 joints, one body", 400_000),
        ["A note."],
    )
    curve = RobustnessCurve(
        "jitter", "of a body", "Noise.", [Point(0, "none", ABOUT_HALF), Point(0.1, "10 %", ABOUT_HALF)]
    )
    camera = RobustnessCurve("turned camera", "degrees", "Turned.", (), "not available: two coordinates")
    averaged = TestTimeResult("3 crops", 3, metrics, ABOUT_HALF)
    members = [MemberResult(f"runs/{name}/last.pth", "nano_e", 0.5, 40_000, 50.0) for name in "ab"]
    compared = ComparisonResult("runs/other/last.pth", "base_e", ABOUT_HALF, ABOUT_HALF, 3, 4, 0.5)
    extras = Extras(EnsembleResult(members, "equal", 4, 2, 1), averaged, compared, details, [curve, camera])
    rows = [{"epoch": float(number), "train_top1": 10.0 * number, "test_top1": 9.0 * number} for number in range(9)]
    command = "python -m last evaluate --checkpoint runs/a/last.pth --report report.html"
    return PageContent(
        FACTS, {"SHA-256": "0" * 64}, command, metrics, predictions, names, extras, TrainingRows(rows), clip_of
    )


def written(folder: Path, content: PageContent) -> str:
    write_evaluation_page(folder / "page.html", content)
    return (folder / "page.html").read_text(encoding="utf-8")


def with_details(content: PageContent, **changes: object) -> PageContent:
    assert content.extras.details is not None
    details = replace(content.extras.details, **changes)  # type: ignore[arg-type]
    return replace(content, extras=replace(content.extras, details=details))


def test_the_page_has_every_section_that_its_links_name_and_no_gap_in_its_headings(tmp_path: Path) -> None:
    page = written(tmp_path, content_of())
    links, targets = set(re.findall(r'href="#([^"]+)"', page)), re.findall(r' id="([^"]+)"', page)
    assert links <= set(targets) and len(targets) == len(set(targets))
    assert {"networks", "training", "robustness", "reproduce"} <= links
    levels = [1, *(int(level) for level in re.findall(r"<h(\d)", page))]
    assert all(late <= early + 1 for early, late in pairwise(levels)) and levels.count(1) == 2
    assert not Elements(page).open


def test_an_interval_without_width_is_not_shown_as_one(tmp_path: Path) -> None:
    alike = Estimate(100.0, 100.0, 100.0)
    assert alike.text("+") == "+100.00 (no interval)"
    classes = [ClassEstimate(number, alike) for number in range(6)]
    page = written(tmp_path, with_details(content_of(), top1=alike, epochs_difference=alike, classes=classes))
    assert "100.0 to 100.0" not in page and "between 100.0 and" not in page
    assert "all are alike, so there is no interval" in page
    assert 'title="no interval' in page


def test_figures_have_their_intervals_and_what_cannot_be_computed_its_reason(tmp_path: Path) -> None:
    content = with_details(
        content_of(), no_streams="not available: one stream", streams=[], notes=["One class has none."]
    )
    page = written(tmp_path, replace(content, training=TrainingRows(problem="there is no run")))
    assert re.search(r"<strong>\d\d\.\d\d\xa0%</strong> <span>top-1 of 60 clips, between", page)
    assert "(40.0 to 60.0)" in page
    for reason in (
        "not available: one stream",
        "there is no run",
        "not available: two coordinates",
        "One class has none.",
    ):
        assert reason in page
    shown = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(nan|inf)\b", shown, flags=re.IGNORECASE)


def test_a_class_without_clips_has_a_dash_and_the_reason_and_comes_last(tmp_path: Path) -> None:
    page = written(tmp_path, content_of(9, ["wave", "clap", "never"], empty=1))
    table = page[page.index('data-search="class-search"') :]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>', table[: table.index("</table>")])
    assert rows[-1] == "never" and 'data-value="" class="aside">no clips' in table


def test_the_matrix_holds_every_cell_that_is_not_empty(tmp_path: Path) -> None:
    content = content_of()
    page = written(tmp_path, content)
    match = re.search(r'id="matrix-data">(.*?)</script>', page)
    assert match is not None
    data = json.loads(match[1])
    counts = np.zeros_like(content.metrics.confusion)
    for true, taken, count in data["cells"]:
        counts[true, taken] = count
    assert np.array_equal(counts, content.metrics.confusion)
    assert all(sorted(order) == list(range(6)) for order in data["orders"].values())


def test_classes_that_are_confused_stand_together() -> None:
    counts = np.diag([9, 9, 9, 9, 9])
    counts[0, 3] = counts[3, 0] = 4
    counts[1, 4] = 2
    assert confused_together(counts) == [0, 3, 1, 4, 2]
    assert confused_together(np.zeros((3, 3), np.int64)) == [0, 1, 2]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_foreign_names_are_only_text_wherever_they_stand(name: str, tmp_path: Path) -> None:
    def content(text: str) -> PageContent:
        made = content_of(names=[text] * 6)
        facts = {**FACTS, "model": text, "dataset": text, "checkpoint": text}
        made = replace(made, facts=facts, command=f"x {text}", checksums={"a": text})
        played = replace(clip_of(0), name=text)
        return replace(made, clip_of=lambda _: played)

    page, plain = written(tmp_path, content(name)), written(tmp_path, content("plain"))
    elements = Elements(page)
    spans = [each for each in elements.tags if each != "span"]  # of the words of the command
    assert spans == [each for each in Elements(plain).tags if each != "span"] and not elements.open
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)


@pytest.mark.parametrize(("classes", "clips", "most"), [(120, 50_000, 2_400_000), (1_500, 1_500, 3_500_000)])
def test_a_page_of_many_classes_and_clips_stays_small(classes: int, clips: int, most: int, tmp_path: Path) -> None:
    page = written(tmp_path, content_of(clips, [f"class {number} with a longer name" for number in range(classes)]))
    assert len(page) < most and not Elements(page).open


def test_clips_that_cannot_be_shown_are_named_with_the_reason(tmp_path: Path) -> None:
    def damaged(number: int) -> PlayedClip:
        raise UserError("the clip is damaged")

    page = written(tmp_path, replace(content_of(), clip_of=damaged))
    assert "No clip can be shown." in page and "Not shown: the clip is damaged" in page


def test_a_page_without_details_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the details"):
        write_evaluation_page(tmp_path / "page.html", replace(content_of(), extras=Extras()))


def test_the_page_of_a_run_names_its_command_and_checksums(
    train_once: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = train_once("epochs=2", "validation=split", "validation_fraction=0.3")
    further = Further(report=tmp_path / "page.html", command="python -m last evaluate --checkpoint x")
    result = evaluate(EvalRequest(run.last, further=further, pictures=False), tmp_path / "report")
    page = result.files["page"].read_text(encoding="utf-8")
    assert "--checkpoint</span>" in page and result.facts["store"] in page
    assert re.search(r"SHA-256 of last.pth</th><td>[0-9a-f]{64}</td>", page)
    assert "held-out training clips" in page and 'class="last-player"' in page


@pytest.mark.long
def test_a_browser_draws_matrix_and_skeletons_and_reports_no_error(tmp_path: Path) -> None:
    written(tmp_path, content_of())
    document = opened(tmp_path / "page.html")
    assert "data-error" not in document
    assert re.search(r'id="matrix"[^>]*data-drawn="6"', document)
    assert re.search(r'data-drawn="([1-9]\d*)"', document[document.index('class="last-player') :])
    assert document.count('class="sort"') == 12


@pytest.mark.long
def test_the_page_is_photographed_in_a_browser(tmp_path: Path) -> None:
    written(tmp_path, content_of())
    picture = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", f"--screenshot={picture}"]
    page = (tmp_path / "page.html").as_uri()
    subprocess.run([browser(), *options, page], capture_output=True, timeout=120, check=True)
    assert picture_size(picture) == (1280, 900) and picture.stat().st_size > 20_000


@pytest.mark.long
def test_a_reader_sorts_and_searches_classes_and_the_matrix(tmp_path: Path) -> None:
    content = content_of(names=["wave", "clap", "walk", "empty"], empty=1)
    page = re.sub(r"<meta http-equiv=[^>]*>", "", written(tmp_path, content))  # which forbids another program
    reader = (Path(__file__).parent / "reader_of_a_report.js").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(
        page.replace("</body>", f"<script>{{{reader}}}</script></body>"), encoding="utf-8"
    )
    document = opened(tmp_path / "page.html")
    found = json.loads(html.unescape(re.findall(r'<pre id="found">(.*?)</pre>', document)[0]))
    accuracies = {
        name: each.accuracy for name, each in zip(content.class_names, content.metrics.per_class, strict=True)
    }
    worst_first = sorted(["wave", "clap", "walk"], key=lambda name: accuracies[name] or 0.0)
    assert found["asWritten"] == [*worst_first, "empty"]
    assert found["bestFirst"][-1] == "empty"
    assert [accuracies[name] for name in found["bestFirst"][:3]] == sorted(
        [accuracies[name] for name in worst_first], key=lambda value: -(value or 0.0)
    )
    assert found["byName"] == ["clap", "empty", "walk", "wave"] and found["searched"] == ["wave"]
    assert found["drawn"][::2] == ["wave", "clap", "walk", "empty"]
    assert found["worstFirst"][::2] == [*worst_first, "empty"]
    assert found["nobody"] == ["0", "0 of 4 classes are drawn."]
    assert re.fullmatch(r"\w+, recognised: \d+ of \d+ \(\d+\.\d %\)", found["told"])
