"""`predict`: classify recordings with a checkpoint or with an exported file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..data.preparation.formats import BadClip
from ..deploy.backends import exported_suffixes, starts_as_checkpoint
from ..deploy.predictions import Choices, Length, classify
from ..deploy.recognizer import NoBody, Recognizer
from ..settings.data import FASTEST, SLOWEST
from ..utils.errors import UserError
from ..utils.files import refuse_unwritable
from .folders import checkpoint_of
from .options import MOST_THREADS, add_shared, check_bounds, count, examples, number
from .predict_input import STDIN, Failure, clips_of, source_of
from .predict_output import Output

_LONGEST_SECONDS, _MOST_FRAMES = 3600.0, 1 << 18
_ENDINGS = (".gif", ".mp4", ".html", ".htm", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a recording, a folder or a zip archive of them; or - for JSON lines on standard input",
    )
    parser.add_argument(
        "--model",
        dest="model_path",  # `completion` offers the names of untrained models for `model`
        required=True,
        metavar="PATH",
        help="an exported file (.onnx or .xml), which needs no torch; a checkpoint, a run's folder, or `latest`",
    )
    parser.add_argument("--format", metavar="F", help="format of the recordings, if it is not recognised")
    parser.add_argument(
        "--layout", metavar="L", help="their joint layout, if it is not the model's: the joints are mapped to it"
    )
    parser.add_argument("--dataset", metavar="D", help="a data set or data YAML that describes how they are read")
    parser.add_argument(
        "--source_fps", type=rate, default=0.0, metavar="FPS", help="their frame rate, if they do not tell it"
    )
    parser.add_argument(
        "--top", type=count, default=3, metavar="K", help="show the K most probable classes (default: 3)"
    )
    parser.add_argument("--per_body", action="store_true", help="classify each body alone")
    parser.add_argument(
        "--window",
        type=_length,
        metavar="LENGTH",
        help="classify windows of this length over each recording: 2 or 2s are seconds, 60f are frames",
    )
    parser.add_argument(
        "--stride", type=_length, metavar="LENGTH", help="from one window to the next (default: half a window)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON; of - one object a line, each at once")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="draw the moving skeleton with its running labels: .gif, .mp4 or .html; or write .json",
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="CPU threads (default: the runtime's choice)"
    )
    add_shared(parser, "--output_root", "--env")
    parser.epilog = examples(
        """
        {program} predict --model student.onnx clip.skeleton
        {program} predict --model student.onnx recordings/ --json
        {program} predict --model latest day.csv --window 2 --stride 0.5 --out day.html
        {program} predict --model student.onnx S001C001P001R001A050.skeleton --per_body --out handshake.gif
        {program} predict --model student.onnx poses.json --format coco --layout coco17_2d
        {program} predict --model student.onnx --json -
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Classify the recordings and print what they are; return the exit code, 2 if one cannot be classified."""
    check_bounds(arguments, threads=(0, MOST_THREADS))
    _refuse_contradictions(arguments)
    choices = Choices(arguments.per_body, arguments.window, arguments.stride)
    recognizer = _recognizer(arguments)
    source = source_of(arguments, recognizer)
    output = Output(
        recognizer, top=arguments.top, as_json=arguments.json, at_once=arguments.files == [STDIN], out=arguments.out
    )
    for found in clips_of(arguments, source):
        if isinstance(found, Failure):
            output.fail(found)
            continue
        try:
            output.add(found.origin, classify(recognizer, found.clip, choices))
        except BadClip as error:
            output.fail(Failure(found.origin, found.clip.name, error.reason))
        except NoBody as error:
            output.fail(Failure(found.origin, found.clip.name, str(error)))
    return output.finish()


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    if STDIN in arguments.files and len(arguments.files) > 1:
        raise UserError("- is standard input: give it alone, without other files.")
    if arguments.stride and not arguments.window:
        raise UserError("--stride is the distance of two windows: give the length of a window too, with --window.")
    if arguments.out and arguments.out.suffix.lower() not in _ENDINGS:
        raise UserError(f"--out {arguments.out} should end in {', '.join(_ENDINGS)}.")
    if arguments.out and (given := _given_as(arguments.out, arguments.files, Path(arguments.model_path))):
        raise UserError(f"--out {arguments.out} would replace {given}: choose another file.")
    if arguments.out:
        refuse_unwritable(arguments.out)
    if arguments.dataset and (arguments.format or arguments.layout):
        raise UserError("--format and --layout are for recordings without a data YAML: omit them, or --dataset.")


def _given_as(out: Path, files: Sequence[str], model: Path) -> str:
    """Return what an existing file is for the command: a recording, the model, or its description; empty if nothing."""
    if not out.exists():
        return ""
    place = out.resolve()
    if place.parent == model.resolve().parent and place.stem == model.stem:
        return "the model, or what describes it"
    inputs = [Path(each).resolve() for each in files if each != STDIN]
    return "a recording that is read" if any(each == place or each in place.parents for each in inputs) else ""


def _recognizer(arguments: argparse.Namespace) -> Recognizer:
    """Return the model: an exported file, by its ending, or a checkpoint, for which torch is imported.

    Raises:
        UserError: it is neither, or it cannot be used.
    """
    named: str = arguments.model_path
    suffixes = exported_suffixes()
    if Path(named).suffix.lower() in suffixes:
        return Recognizer(named, arguments.threads)
    checkpoint = checkpoint_of(arguments, named)
    if not starts_as_checkpoint(checkpoint):
        what = "is neither an exported model nor a checkpoint" if checkpoint.exists() else "does not exist"
        raise UserError(
            f"The model {named} {what}. Give an exported file ({' or '.join(suffixes)}), a checkpoint (.pth), a run's "
            "folder, or `latest`."
        )
    from ..deploy.checkpoint_recognizer import CheckpointRecognizer

    return CheckpointRecognizer(checkpoint, arguments.threads)


def rate(text: str) -> float:
    """Parse a frame rate."""
    wanted = f"frames per second from {SLOWEST:g} to {FASTEST:g}, such as 30"
    return number(text, lambda value: SLOWEST <= value <= FASTEST, wanted)


def _length(text: str) -> Length:
    """Parse a length of time: `2` and `2s` are seconds, `60f` are frames."""
    in_frames = text.endswith("f") and not text.endswith("inf")
    most, plain = (_MOST_FRAMES, text.removesuffix("f")) if in_frames else (_LONGEST_SECONDS, text.removesuffix("s"))
    wanted = f"seconds above 0 up to {_LONGEST_SECONDS:g}, such as 2 or 0.5s, or whole frames, such as 60f"

    def is_length(value: float) -> bool:
        return 0 < value <= most and (not in_frames or value == int(value))

    try:
        return Length(number(plain, is_length, wanted), in_frames)
    except argparse.ArgumentTypeError:
        number(text, lambda _: False, wanted)  # the message quotes what was typed
        raise
