"""TensorBoard scalars of a run: an event file that grows with each epoch."""

import io
import logging
import math
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..utils.extras import extra_problem
from ..utils.files import failure
from .append_file import append

_log = logging.getLogger(__name__)

_PARTS = ("train", "test", "val")


class TensorboardScalars:
    """Write the numbers of each epoch as TensorBoard scalars; a failure does not end the run.

    This class writes the event files, not torch's `SummaryWriter`, whose thread prints a traceback and leaves an
    incomplete event when the disk is full. If the library is missing, one message says so at the start of the run; a
    failed write disables the scalars for the rest of the run, with one warning.
    """

    def __init__(self, folder: Path, switched_on: bool = True) -> None:
        """Write into `folder`, which the first epoch creates; write nothing unless `switched_on`."""
        self._folder = folder
        self._switched_on = switched_on
        self._file: Path | None = None
        problem = extra_problem("tensorboard", "Writing TensorBoard scalars") if switched_on else None
        if problem is not None:
            self._switched_on = False
            _log.info(str(problem))

    def write(self, row: Mapping[str, float | int | str]) -> None:
        """Write the numbers of an epoch at step `epoch`.

        `train_loss` becomes `loss/train` and so on, other numbers `run/<name>`; texts and NaN are skipped.
        """
        if not self._switched_on:
            return
        step = int(row["epoch"])
        scalars = {
            _tag(name): float(value)
            for name, value in row.items()
            if name != "epoch" and not isinstance(value, str) and not math.isnan(value)
        }
        try:
            self._add(step, scalars)
        except OSError as error:
            self._switched_on = False
            path = self._file or self._folder
            _log.warning(f"{failure(path, error)} Training continues without further TensorBoard scalars.")

    def begin_file(self) -> None:
        """Start a new file with the next epoch, which hides older values of that epoch and later ones."""
        self._file = None

    def _add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append the events of one epoch in one write.

        Raises:
            OSError: the file cannot be written.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        events = [Event(wall_time=time.time(), step=step, summary=Summary(value=values))]
        if self._file is None:
            begin = SessionLog(status=SessionLog.START)
            events.insert(0, Event(wall_time=time.time(), step=step, session_log=begin))
            events.insert(0, Event(wall_time=time.time(), file_version="brain.Event:2"))
            self._folder.mkdir(parents=True, exist_ok=True)
            # TensorBoard reads the files in the order of their names: the later one must not come first.
            self._file = self._folder / f"events.out.tfevents.{time.time_ns():019d}.{socket.gethostname()}"
        append(self._file, _records(events))


def _records(events: Sequence[Any]) -> bytes:
    """Return events in the format of event files: each with its length and checksums."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    return file.getvalue()


def _tag(name: str) -> str:
    """Return the TensorBoard tag of a column: `loss/train` for `train_loss`, `run/seconds` for `seconds`."""
    part, _, figure = name.partition("_")
    return f"{figure}/{part}" if part in _PARTS else f"run/{name}"
