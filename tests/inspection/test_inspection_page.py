"""The page of an inspection: verdict, findings with their clips, contents, for few and for very many of each."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from html_pages import HOSTILE_NAMES, Elements, opened

from last.data.preparation.formats import BadClip
from last.inspection.findings import (
    Contents,
    CurvePoint,
    Distribution,
    Evidence,
    Finding,
    Inspection,
    LearningCurve,
    Severity,
)
from last.inspection.page import write_inspection_page
from last.plots.player import PlayedClip, Version
from last.skeleton import load_layout

LAYOUT = load_layout("sbu15")
LENGTHS = Distribution(5, 10, 20, 30, 90)
CONTENTS = Contents(
    clips=30,
    classes={"wave": 20, "clap": 10},
    subjects={1: 15, 2: 15},
    cameras={0: 30},
    setups={},
    parts={"by_subject": {"train": 20, "test": 10}},
    frames=LENGTHS,
    seconds=None,
    frame_rates={0: 30},
    bodies={1: 30},
    size=None,
    missing=0.0,
)
CURVE = LearningCurve(
    [CurvePoint(0.5, 10, [0.6, 0.7]), CurvePoint(1, 20, [0.8])], {40: (0.8, 0.85, 0.9)}, "Twice as many would help."
)
NOTHING = Inspection("gestures", "the store in data/gestures", CONTENTS, [])


def finding(severity: Severity = Severity.WARNING, evidence: Sequence[Evidence] = (), **more: str | int) -> Finding:
    texts = {"kind": "frozen", "title": "Clips that do not move", "message": "Some.", "remedy": "Leave them out."}
    return Finding(**{**texts, "severity": severity, "evidence": evidence, **more})  # type: ignore[arg-type]


def clip_of(number: int) -> PlayedClip:
    joints = np.random.default_rng(number).uniform(-0.8, 0.8, (1, 9, 15, 3))
    return PlayedClip(f"clip {number}", LAYOUT, [Version(joints)], "wave")


class Names(Sequence[str]):
    """Names of as many clips as are asked for."""

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        return f"clip {number}"

    def __len__(self) -> int:
        return 1_000_000


def written(
    folder: Path,
    inspection: Inspection,
    read: Callable[[int], PlayedClip] = clip_of,
    names: Sequence[str] | None = None,
) -> str:
    write_inspection_page(folder / "page.html", inspection, read, names=names or Names())
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ([], "Ready for training"),
        ([Severity.NOTE], "Ready for training"),
        ([Severity.NOTE, Severity.WARNING], "Look at this first"),
        ([Severity.WARNING, Severity.SPOILS], "This would spoil training"),
    ],
)
def test_the_verdict_is_that_of_the_worst_finding(severities: list[Severity], verdict: str, tmp_path: Path) -> None:
    page = written(tmp_path, replace(NOTHING, findings=[finding(severity) for severity in severities]))
    assert re.findall(r'class="verdict-title" id="verdict">(.*?)</h2>', page) == [verdict]


def test_findings_are_listed_worst_first(tmp_path: Path) -> None:
    order = [Severity.NOTE, Severity.SPOILS, Severity.WARNING]
    page = written(tmp_path, replace(NOTHING, findings=[finding(each, title=f"a {each}") for each in order]))
    assert re.findall(r'<h3 id="finding-\d">(.*?)</h3>', page) == ["a spoils", "a warning", "a note"]
    assert "3 findings: 1 would spoil training, 1 may harm training, 1 worth knowing." in page


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_foreign_names_are_only_text_wherever_they_stand(name: str, tmp_path: Path) -> None:
    def inspection(text: str) -> Inspection:
        contents = replace(CONTENTS, classes={text: 3}, parts={text: {text: 3}})
        shown = [finding(evidence=[Evidence(0, text, other=1)], title=text, message=text, remedy=text)] * 4
        checked = {"kind": "", "other": text, text: ""}
        return Inspection(text, text, contents, shown, checked, replace(CURVE, advice=text))

    page = written(tmp_path, inspection(name), lambda number: replace(clip_of(number), name=name), [name] * 2)
    plain = written(tmp_path, inspection("plain"), lambda number: replace(clip_of(number), name="p"), ["p"] * 2)
    elements = Elements(page)
    assert elements.tags == Elements(plain).tags and not elements.open
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)


def test_ten_thousand_clips_are_fifty_rows_and_a_count(tmp_path: Path) -> None:
    many = finding(evidence=[Evidence(number, "still") for number in range(500)], clips=10_000)
    page = written(tmp_path, replace(NOTHING, findings=[many]))
    assert len(re.findall(r'<th scope="row">clip \d+</th>', page)) == 50
    assert "45 more clips</summary>" in page and "Listed: 50 of 10,000 clips." in page


def test_at_most_thirty_clips_are_played_the_clearest_of_each_finding_first(tmp_path: Path) -> None:
    read = []

    def reading(number: int) -> PlayedClip:
        read.append(number)
        return clip_of(number)

    several = [
        finding(evidence=[Evidence(100 * place + number) for number in range(4)], kind=f"kind{place}")
        for place in range(12)
    ]
    page = written(tmp_path, replace(NOTHING, findings=several), reading)
    assert len(read) == 30 and read.count(0) == 1
    assert [[100 * place + number in read for place in range(12)] for number in range(4)] == [
        [True] * 12,
        [True] * 12,
        [True] * 6 + [False] * 6,
        [False] * 12,
    ]
    assert page.count('class="last-player"') == 12


def test_sixty_findings_have_a_list_and_those_without_a_player_say_so(tmp_path: Path) -> None:
    page = written(tmp_path, replace(NOTHING, findings=[finding(evidence=[Evidence(place)]) for place in range(60)]))
    assert page.count('class="last-player"') == 30
    assert page.count("the page plays 30 clips at most") == 30
    assert len(re.findall('<li><a href="#finding-', page)) == 60


@pytest.mark.parametrize("classes", [1, 2, 400, 10_000])
def test_a_page_of_any_number_of_classes_stays_small(classes: int, tmp_path: Path) -> None:
    contents = replace(CONTENTS, classes={f"class {number}": number for number in range(classes)})
    page = written(tmp_path, replace(NOTHING, contents=contents))
    assert len(page) < 700_000 and not Elements(page).open
    assert ("<details>" in page) == (classes > 24)


def test_a_player_starts_at_the_frames_and_marks_the_joints_of_the_evidence(tmp_path: Path) -> None:
    evidence = Evidence(3, "jumps by 4 m", frames=(2, 5), joints=(1, 14))
    page = written(tmp_path, replace(NOTHING, findings=[finding(evidence=[evidence])]))
    assert '"marked_frames":[2,5],"marked_joints":[1,14]' in page
    joints = " and ".join(LAYOUT.joints[joint].replace("_", " ") for joint in (1, 14)).replace(" and ", ", ")
    assert f"wave, jumps by 4 m, marked: {joints}" in page


def test_the_page_says_how_to_turn_a_skeleton_only_where_one_can_be_turned(tmp_path: Path) -> None:
    flat = load_layout("coco17_2d")
    found = replace(NOTHING, findings=[finding(evidence=[Evidence(1)])])
    assert "To turn a skeleton, drag it." in written(tmp_path, found)
    page = written(tmp_path, found, lambda _: PlayedClip("flat", flat, [Version(np.ones((1, 2, 17, 2)))]))
    assert "To zoom, click a skeleton" in page and "To turn a skeleton" not in page


def test_a_copy_is_beside_its_original(tmp_path: Path) -> None:
    page = written(tmp_path, replace(NOTHING, findings=[finding(evidence=[Evidence(3, other=8)])]))
    assert re.findall(r'"title":"([^"]*)"', page) == ["clip 3 (wave)", "clip 8 (wave)"]
    assert '<th scope="row">clip 3</th><td>clip 8</td>' in page


def test_a_clip_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    def damaged(number: int) -> PlayedClip:
        if number == 1:
            raise BadClip("lost.csv", 3, "has no joint")
        return clip_of(number)

    page = written(tmp_path, replace(NOTHING, findings=[finding(evidence=[Evidence(1), Evidence(2)])]), damaged)
    assert re.search(r"Not shown here: .*lost\.csv.*has no joint", page)
    assert page.count('class="last-player"') == 1


def test_what_was_not_possible_is_listed_with_the_reason(tmp_path: Path) -> None:
    checked = {"bone_lengths": "", "swapped_identities": "every clip has one body"}
    page = written(tmp_path, replace(NOTHING, checked=checked))
    assert '<li class="badge note">bone lengths</li>' in page
    assert '<th scope="row">swapped identities</th><td>every clip has one body' in page


def test_the_curve_has_its_figures_labels_and_forecast(tmp_path: Path) -> None:
    page = written(tmp_path, replace(NOTHING, curve=CURVE))
    for text in (
        "training clips</text>",
        "accuracy on held-out clips</text>",
        "65.0\u00a0% (60.0 to 70.0)",
        "forecast: 40 clips",
    ):
        assert text in page
    assert 'class="band"' in page
    assert "This was not measured" in written(tmp_path, NOTHING)


def test_headings_have_no_gap_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    shown = [finding(evidence=[Evidence(place)]) for place in range(5)]
    page = written(tmp_path, replace(NOTHING, findings=shown, curve=CURVE, checked={"a": "", "b": "why"}))
    levels = [1, *(int(level) for level in re.findall(r"<h(\d)", page))]
    assert all(late <= early + 1 for early, late in pairwise(levels)) and levels.count(1) == 2
    targets = re.findall(r' id="([^"]+)"', page)
    assert len(targets) == len(set(targets))
    assert set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r'labelledby="([^"]+)"', page)) <= set(targets)
    assert 'data-heading="4"' in page


def test_a_browser_shows_the_page_with_players_that_draw_and_no_error(tmp_path: Path) -> None:
    shown = [finding(evidence=[Evidence(1, frames=(3, 5)), Evidence(2, other=4)]), finding(evidence=[Evidence(7)])]
    written(tmp_path, replace(NOTHING, findings=shown, curve=CURVE))
    document = opened(tmp_path / "page.html")
    assert "data-error" not in document
    assert len(re.findall(r'data-drawn="([1-9]\d*)"', document)) == 2
    assert re.search(r'<output class="lp-time">4 / 9</output>', document)
