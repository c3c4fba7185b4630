"""`predict`: classify recordings with a checkpoint or with an exported file."""

import argparse
from pathlib import Path

from ..data.preparation.formats import BadClip
from ..deploy.backends import exported_suffixes, starts_as_checkpoint
from ..deploy.predictions import Choices, Length, classify
from ..deploy.recognizer import NoBody, Recognizer
from ..settings.data import FASTEST, SLOWEST
from ..utils.errors import UserError
from .folders import checkpoint_of
from .options import MOST_THREADS, add_shared, check_bounds, count, examples, number
from .predict_checks import refuse_impossible, refuse_out_of_entries, refuse_out_of_inputs, refuse_several
from .predict_input import STDIN, Failure, clips_of, entries_in, recordings_of, source_of
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
    model = _model(arguments)
    if arguments.out:
        refuse_out_of_inputs(arguments.out, arguments.files, model)
        refuse_impossible(arguments.out)
    recognizer = _recognizer(arguments, model)
    source = source_of(arguments, recognizer)
    listed = recordings_of(arguments, source)
    if arguments.out:
        refuse_out_of_entries(arguments.out, entries_in(listed))
        refuse_several(arguments.out, len(entries_in(listed)))
    output = Output(
        recognizer, top=arguments.top, as_json=arguments.json, at_once=arguments.files == [STDIN], out=arguments.out
    )
    for found in clips_of(arguments, source, listed):
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
    if arguments.dataset and (arguments.format or arguments.layout):
        raise UserError("--format and --layout are for recordings without a data YAML: omit them, or --dataset.")


def _model(arguments: argparse.Namespace) -> Path:
    """Return the file of the model: an exported file, by its ending, or a checkpoint.

    Raises:
        UserError: there is no run of that name.
    """
    named: str = arguments.model_path
    return Path(named) if Path(named).suffix.lower() in exported_suffixes() else checkpoint_of(arguments, named)


def _recognizer(arguments: argparse.Namespace, model: Path) -> Recognizer:
    """Return the model, for which torch is imported if it is a checkpoint.

    Raises:
        UserError: it is neither an exported file nor a checkpoint, or it cannot be used.
    """
    named: str = arguments.model_path
    suffixes = exported_suffixes()
    if Path(named).suffix.lower() in suffixes:
        return Recognizer(named, arguments.threads)
    if not starts_as_checkpoint(model):
        what = "is neither an exported model nor a checkpoint" if model.exists() else "does not exist"
        raise UserError(
            f"The model {named} {what}. Give an exported file ({' or '.join(suffixes)}), a checkpoint (.pth), a run's "
            "folder, or `latest`."
        )
    from ..deploy.checkpoint_recognizer import CheckpointRecognizer

    return CheckpointRecognizer(model, arguments.threads)


def rate(text: str) -> float:
    """Parse a frame rate."""
    wanted = f"frames per second from {SLOWEST:g} to {FASTEST:g}, such as 30"
    return number(text, lambda value: SLOWEST <= value <= FASTEST, wanted)


def _length(text: str) -> Length:
    """Parse a length of time: `2` and `2s` are seconds, `60f` are frames."""
    in_frames = text.endswith("f")
    most, plain = (_MOST_FRAMES, text.removesuffix("f")) if in_frames else (_LONGEST_SECONDS, text.removesuffix("s"))
    wanted = f"seconds above 0 up to {_LONGEST_SECONDS:g}, such as 2 or 0.5s, or whole frames, such as 60f"
    try:
        value = number(plain, lambda value: 0 < value <= most and (not in_frames or value == int(value)), wanted)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} should be {wanted}") from None
    return Length(value, in_frames)
