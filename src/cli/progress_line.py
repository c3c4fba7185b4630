"""The progress line of a task on a terminal, shortened step by step to the terminal's width."""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.text import Text

_NARROWEST_BAR, _WIDEST_BAR = 8, 40


@dataclass(frozen=True)
class Figures:
    """Texts beside the count of a task; each may be empty.

    Attributes:
        rate: such as `196 clips/s`.
        note: such as `loss 2.552`.
        left: the time left, such as `run: 19 s left`.
        short_left: the same, shorter.
    """

    rate: str = ""
    note: str = ""
    left: str = ""
    short_left: str = ""

    def __str__(self) -> str:
        return _joined(self.rate, self.note, self.left)

    def shorter_forms(self) -> tuple[str, ...]:
        """Return the texts behind the count, from the full one to only the time left."""
        return str(self), _joined(self.note, self.left), self.left, self.short_left


class FittedLine(ProgressColumn):
    """Show a whole task, whose field `figures` holds `Figures`, as one line that fits the terminal."""

    def render(self, task: Task) -> "_Line":
        """Return the present line of a task."""
        return _Line(task, task.fields["figures"])


@dataclass(frozen=True)
class _Line:
    """The line of a task. A narrow terminal drops the bar, then the rate, the note, and part of the description."""

    task: Task
    figures: Figures

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(options.max_width, options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        description, room = Text(self.task.description), options.max_width
        count = f"{self.task.completed:.0f}/{self.task.total or 0:.0f}"
        choices = self.figures.shorter_forms()
        needed = [cell_len(_spaced(self.task.description, count, each)) for each in choices]
        shown = next((each for each, width in zip(choices, needed, strict=True) if width <= room), choices[-1])
        description.truncate(max(room - cell_len(_spaced("", count, shown)) - 1, 1), overflow="ellipsis")
        yield from description.render(console)  # the text itself would be padded to the whole width
        bar = room - needed[0] - 1
        if bar >= _NARROWEST_BAR:
            yield from Text(" ").render(console)
            yield ProgressBar(self.task.total, self.task.completed, width=min(bar, _WIDEST_BAR))
        yield from Text.assemble(" ", (count, "progress.download"), f" {shown}" if shown else "").render(console)


def _joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))


def _spaced(*texts: str) -> str:
    return " ".join(filter(None, texts))
