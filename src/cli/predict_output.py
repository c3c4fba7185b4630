"""What `predict` prints and draws: a table, lines of text, JSON, and the moving skeleton with its running labels."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..data.store.clip import Clip
from ..data.store.played_clips import played_clip
from ..deploy.predictions import ClipPredictions, Span, Track
from ..deploy.recognizer import Recognizer
from ..plots.player import PAGE_LIMIT_BYTES, PlayedClip, bytes_of, write_page
from ..plots.running_labels import MOST_LABELS, LabelledFrames, RunningLabels
from ..utils.errors import UserError
from ..utils.files import write_json
from ..utils.numbers import counted
from .predict_checks import refuse_several
from .predict_input import Failure
from .terminal import say, table

_logger = logging.getLogger(__name__)
_BODIES_DRAWN = 2
_FAILURES_SHOWN = 20
_NOBODY = "no body"
_NUMBER = re.compile(r"\d+")
Values = dict[str, Any]


@dataclass
class Output:
    """The results of a command, which are shown as they come or at the end.

    Attributes:
        recognizer: the model.
        top: how many classes of each are shown.
        as_json: print JSON.
        at_once: print each result in a line as soon as it is there.
        out: a picture, a page, or a JSON file to write; None for none.
        results: what is known of each clip, as JSON values.
        drawn: clips to be drawn.
        bytes_drawn: of a page, for all clips that should be drawn.
        failures: the recordings that could not be classified.
    """

    recognizer: Recognizer
    top: int
    as_json: bool
    at_once: bool
    out: Path | None
    results: list[Values] = field(default_factory=list)
    drawn: list[PlayedClip] = field(default_factory=list)
    bytes_drawn: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, origin: str, found: ClipPredictions) -> None:
        """Add what was said about a clip."""
        values = self._values(origin, found)
        self.results.append(values)
        if self.out is not None and self.out.suffix.lower() != ".json":
            self._add_drawn(self.out, self._played(found))
        if self.at_once:
            self._print(values)
            self._forget()

    def fail(self, failure: Failure) -> None:
        """Add a recording that cannot be classified, and report it, if each is reported at once."""
        self.failures.append(failure)
        values = {"file": failure.origin, "clip": failure.name, "error": failure.reason}
        self.results.append(values)
        if self.at_once:
            if self.as_json:
                self._print(values)
            self._forget()
            _logger.error("%s", failure)

    def finish(self) -> int:
        """Print and write what is left; return the exit code.

        Raises:
            UserError: nothing can be drawn, or the file cannot be written.
        """
        whole = {**self._facts(), "results": self.results}
        if not self.at_once:
            self._report_failures()
            if self.as_json:
                print(json.dumps(whole, indent=2, ensure_ascii=False))
            else:
                self._show()
        if self.out is not None:
            self._write(self.out, whole)
        self._advise()
        return 2 if self.failures else 0

    def _report_failures(self) -> None:
        """Name the first recordings that cannot be classified; once, if all of a file or a folder fail alike."""
        told = list(self._told())
        for text in told[:_FAILURES_SHOWN]:
            _logger.error("%s", text)
        if len(told) > _FAILURES_SHOWN:
            _logger.error("%d more could not be classified; --json lists all.", len(told) - _FAILURES_SHOWN)

    def _told(self) -> Iterator[str]:
        """Yield what is said about the recordings that cannot be classified."""
        for origin, group in groupby(self.failures, key=lambda failure: failure.origin):
            failures = list(group)
            named = sum(values["file"] == origin for values in self.results)
            kinds = {_NUMBER.sub("0", failure.reason) for failure in failures}
            if 1 < named == len(failures) and len(kinds) == 1:
                yield f"{origin}: none of its {named} recordings can be classified. The first is {failures[0]}"
            else:
                yield from map(str, failures)

    def _advise(self) -> None:
        """Say what the model takes, if recordings have other joints."""
        if any("joint" in failure.reason for failure in self.failures):
            _logger.error(
                "%s takes recordings of the layout %s. If they have another one, name it with --layout.",
                *(self.recognizer.path, self.recognizer.facts.layout),
            )

    def _forget(self) -> None:
        """Drop results that are printed and not written, since a stream may never end."""
        if self.out is None:
            self.results.clear()

    def _add_drawn(self, out: Path, clip: PlayedClip) -> None:
        """Add a clip to be drawn, as long as a page may have more.

        Raises:
            UserError: it is the second one of a file that shows one.
        """
        refuse_several(out, len(self.drawn) + 1)
        bodies, frames = clip.versions[0].joints.shape[:2]
        self.bytes_drawn += bytes_of(frames, bodies, clip.layout, with_confidence=True)
        if self.bytes_drawn <= PAGE_LIMIT_BYTES:
            self.drawn.append(clip)

    def _facts(self) -> Values:
        facts = self.recognizer.facts
        return {
            "model": facts.model,
            "path": str(self.recognizer.path),
            "layout": facts.layout.name,
            "classes": list(facts.classes),
        }

    def _values(self, origin: str, found: ClipPredictions) -> Values:
        """Return what is said about a clip as JSON values."""
        fps = found.clip.fps
        about = {"file": origin, "clip": found.clip.name, "frames": found.frames, "fps": fps or None}
        tracks = [self._of_track(track, fps) for track in found.tracks]
        if any(track.body for track in found.tracks):
            numbered = zip(found.tracks, tracks, strict=True)
            return {**about, "bodies": [{"body": track.body, **values} for track, values in numbered]}
        return {**about, **tracks[0]}

    def _of_track(self, track: Track, fps: float) -> Values:
        if track.whole is not None:
            return self._ranked(track.whole)
        return {
            "intervals": [{**_times(span, fps), **self._ranked(span)} for span in track.intervals()],
            "windows": [{**_times(span, fps), **self._ranked(span)} for span in track.windows],
        }

    def _ranked(self, span: Span) -> Values:
        ranked = self._labels(span, self.top)
        label, probability = ranked[0] if ranked else (None, None)
        top = [{"label": name, "probability": share} for name, share in ranked]
        return {"label": label, "probability": probability, "top": top}

    def _labels(self, span: Span, most: int) -> list[tuple[str, float]]:
        """Return the most probable classes of a span, the best one first; none if there is no body."""
        if span.probabilities is None:
            return []
        best = np.argsort(-span.probabilities, kind="stable")[:most]
        return [(self.recognizer.classes[number], round(float(span.probabilities[number]), 6)) for number in best]

    def _print(self, values: Values) -> None:
        """Print one result at once."""
        if self.as_json:
            print(json.dumps(values, ensure_ascii=False), flush=True)
            return
        for row in _rows(values):
            say("  ".join(filter(None, map(str, row))), flush=True)

    def _show(self) -> None:
        """Print the table of all results."""
        rows = [row for values in self.results if "error" not in values for row in _rows(values)]
        if not rows:
            return
        columns = ["clip", "body", "frames", "seconds", "class", "probability", "next"]
        used = [number for number in range(len(columns)) if any(row[number] for row in rows)]
        facts = self.recognizer.facts
        title = f"{facts.model} ({self.recognizer.path.name}), {counted(len(facts.classes), 'class')}"
        table(title, [columns[number] for number in used], [[row[number] for number in used] for row in rows])

    def _played(self, found: ClipPredictions) -> PlayedClip:
        """Return a clip with its running labels, as pictures and pages show it."""
        running = [
            RunningLabels(f"body {track.body}" if track.body else "", list(self._labelled(track, found.clip)))
            for track in found.tracks
        ]
        captions = []
        for track, labels in zip(found.tracks, running, strict=True):
            for label, share in [] if track.whole is None else self._labels(track.whole, 1):
                captions.append(f"{labels.title} {label} {100 * share:.1f} %".strip())
        caption = ", ".join(captions)
        return replace(played_clip(found.clip, self.recognizer.facts.layout, caption), running=running)

    def _labelled(self, track: Track, clip: Clip) -> Iterator[LabelledFrames]:
        """Yield the running labels of a track, with the frames that the clip has."""
        numbers = np.arange(clip.joints.shape[1]) if clip.timeline is None else clip.timeline.numbers
        spans = track.running()
        starts = [*np.searchsorted(numbers, [span.start for span in spans]).tolist(), len(numbers)]
        for span, start, after in zip(spans, starts[:-1], starts[1:], strict=True):
            if start < after:  # a span may be in frames that the clip does not have
                yield LabelledFrames(start, self._labels(span, MOST_LABELS))

    def _write(self, out: Path, whole: Mapping[str, Any]) -> None:
        ending = out.suffix.lower()
        if ending == ".json":
            write_json(out, whole)
        elif not self.drawn:
            raise UserError(f"There is nothing to draw: {out} is not written.")
        elif self.bytes_drawn > PAGE_LIMIT_BYTES:
            raise UserError(
                f"The clips would take more than the {PAGE_LIMIT_BYTES >> 20} MiB that {out} may have: name fewer."
            )
        elif ending in (".html", ".htm"):
            write_page(out, self.drawn, title=f"{self.recognizer.facts.model}: {counted(len(self.drawn), 'clip')}")
        else:
            _draw(out, self.drawn)
        _logger.info("Written: %s", out.absolute())


def _draw(out: Path, clips: Sequence[PlayedClip]) -> None:
    """Write the animation or the film of one clip."""
    from ..plots.skeletons import animate, film

    (clip,) = clips
    (version,) = clip.versions
    draw = animate if out.suffix.lower() == ".gif" else film
    draw(
        version.joints,
        clip.layout,
        out,
        title=clip.name,
        fps=version.fps,
        frame_mask=version.frame_mask,
        joint_mask=version.joint_mask,
        confidence=version.confidence,
        running=clip.running[:_BODIES_DRAWN],
    )


def _times(span: Span, fps: float) -> Values:
    """Return the frames of a span, from the first one to before `stop`, and its seconds if the frame rate is known."""
    seconds = {"start_s": round(span.start / fps, 3), "stop_s": round(span.stop / fps, 3)} if fps else {}
    return {"start": span.start, "stop": span.stop, **seconds}


def _rows(values: Values) -> Iterator[list[str]]:
    """Yield the rows of a result: clip, body, frames, seconds, class, probability, next classes."""
    for track in values.get("bodies", [values]):
        for part in track.get("intervals", [track]):
            frames = f"{part['start']} to {part['stop']}" if "start" in part else ""
            seconds = f"{part['start_s']:.2f} to {part['stop_s']:.2f}" if "start_s" in part else ""
            first, *others = [f"{100 * each['probability']:.1f} %" for each in part["top"]] or [""]
            following = zip(part["top"][1:], others, strict=True)
            yield [
                values["clip"],
                str(track.get("body", "")),
                frames,
                seconds,
                part["label"] or _NOBODY,
                first,
                ", ".join(f"{each['label']} {share}" for each, share in following),
            ]
