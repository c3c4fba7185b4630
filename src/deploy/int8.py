"""An exported ONNX file with 8-bit weights and activations, and what that costs and gains.

Legend: N clips, M bodies, F frames of a recording, V joints, C coordinates, K classes.
"""

import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.errors import UserError
from ..utils.files import file_checksum, write_json, write_text
from ..utils.leftovers import temporary_folder
from ..utils.numbers import counted
from .backends import check_installed
from .backends.onnx import open_file
from .compact import expand
from .contract import INPUT, Floats, fact_text, facts_from, no_checksum, seal
from .model_card import model_card

QUANTIZED = ("Conv", "MatMul", "Gemm")  # operations of the core; the front, which moves coordinates, stays float32
PACKAGES = ("onnx", "onnxruntime")
_RUNS_BEFORE, _RUNS_TIMED = 5, 100


@dataclass(frozen=True)
class Measured:
    """One file on the test clips.

    Attributes:
        size: of the file, in bytes.
        top1: in percent.
        latency_ms: the median of a clip, on the CPU.
    """

    size: int
    top1: float
    latency_ms: float


@dataclass(frozen=True)
class Int8Comparison:
    """The 8-bit file beside the float32 file, measured in turn on the same clips.

    Attributes:
        path: the 8-bit file.
        floats, int8: the figures of the two files.
        clips: how many test clips there are.
        other_labels: how many of them get another label.
    """

    path: Path
    floats: Measured
    int8: Measured
    clips: int
    other_labels: int

    @property
    def pays(self) -> bool:
        """Return whether it is faster."""
        return self.int8.latency_ms < self.floats.latency_ms


def quantize(
    onnx_file: Path,
    path: Path,
    calibration: Sequence[Floats],
    test: Sequence[Floats],
    labels: Sequence[int],
    threads: int = 0,
) -> Int8Comparison:
    """Write an exported ONNX file with 8-bit weights and activations, and compare the two files.

    Weights have 7 bits, one scale per output channel: with 8, processors without VNNI saturate. Activations have 8
    bits, with the smallest and the largest value of the calibration clips.

    Args:
        onnx_file: a file of `export`.
        path: the file to write.
        calibration: training clips, (1, M, F, V, C) each.
        test: test clips in the same form.
        labels: their classes. Clips of either that have no measured joint are left out.
        threads: the number of CPU threads; 0 for the runtime's choice.

    Raises:
        UserError: a package is missing, the file cannot be read or written, or no clip can be used.
    """
    check_installed(PACKAGES, "Quantizing a model")
    opened = open_file(onnx_file, threads, "f32")
    metadata = dict(opened.metadata)
    calibration = [joints for joints in calibration if _is_usable(opened.run(joints).logits)]
    if not calibration:
        raise UserError(
            f"No training clip that {onnx_file} can use was given, and 8-bit numbers need some to calibrate."
        )
    with temporary_folder(path) as folder:
        _write(onnx_file, folder / path.name, metadata, calibration)
        (folder / path.name).replace(path)
    files = [onnx_file, path]
    runs = [open_file(each, threads, "f32").run for each in files]
    logits = [[run(joints).logits for joints in test] for run in runs]
    usable = [number for number, found in enumerate(logits[0]) if _is_usable(found)]
    if not usable:
        raise UserError(f"No test clip that {onnx_file} can use was given, to measure the 8-bit file on.")
    predicted = [[int(each[number].argmax()) for number in usable] for each in logits]
    test, labels = [test[number] for number in usable], [labels[number] for number in usable]
    milliseconds = _latencies([lambda joints, run=run: run(joints) for run in runs], test)
    top1 = [100 * float(np.mean(np.equal(each, labels))) for each in predicted]
    sizes = [each.stat().st_size for each in files]
    floats, int8 = (Measured(*each) for each in zip(sizes, top1, milliseconds, strict=True))
    changed = sum(first != second for first, second in zip(*predicted, strict=True))
    found = Int8Comparison(path, floats, int8, len(test), changed)
    _describe(found)
    return found


def _is_usable(logits: Floats) -> bool:
    """Tell whether a clip has logits: they are NaN where no joint of it was measured."""
    return bool(np.isfinite(logits).all())


def _describe(found: Int8Comparison) -> None:
    """Write the description and the model card of the 8-bit file."""
    facts = dict(facts_from(open_file(found.path, 1, "f32").metadata, found.path).all)
    figures = {"float32": asdict(found.floats), "int8": asdict(found.int8)}
    exported = [{"format": "onnx", "files": {found.path.name: file_checksum(found.path)}, "measured": figures}]
    write_json(found.path.with_suffix(".json"), {**facts, "exported": exported})
    accuracy = (
        f"{found.int8.top1:.2f} % top-1 on {counted(found.clips, 'test clip')} of the split, measured with this file "
        "after its export; it has not been compared with the checkpoint."
    )
    card = model_card(found.path.stem, facts, accuracy, [found.path])
    card += (
        f"\n## 8-bit numbers\n\nOn {found.clips:,} test clips: {found.int8.top1:.2f} % top-1 instead of "
        f"{found.floats.top1:.2f} %, {found.int8.latency_ms:.2f} ms a clip instead of {found.floats.latency_ms:.2f}, "
        f"{found.int8.size / 2**20:.2f} MiB instead of {found.floats.size / 2**20:.2f}; other labels for "
        f"{found.other_labels:,} of them. The temperature and the thresholds are those of the float32 file.\n"
    )
    write_text(found.path.with_suffix(".md"), card)


def _write(onnx_file: Path, path: Path, metadata: Mapping[str, str], calibration: Sequence[Floats]) -> None:
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.clips: Iterator[Floats] = iter(calibration)

        def get_next(self) -> dict[str, Floats] | None:
            joints = next(self.clips, None)
            return None if joints is None else {INPUT: joints}

    floats = onnx.load(str(onnx_file))
    expand(floats)
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it recommends a step of its own for shapes that the file has
    try:
        quantization.quantize_static(
            floats,
            str(path),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    finally:
        logger.setLevel(level)
    model = onnx.load(str(path))
    del model.metadata_props[:]
    facts: dict[str, Any] = {**metadata, "precision": "int8", **no_checksum()}
    onnx.helper.set_model_props(model, {name: fact_text(value) for name, value in facts.items()})
    onnx.save(model, str(path))
    seal(path)


def _latencies(runs: Sequence[Any], clips: Sequence[Floats]) -> list[float]:
    """Return the median milliseconds of each function on one clip, measured in turn."""
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(_RUNS_BEFORE + _RUNS_TIMED):
        joints = clips[number % len(clips)]
        for run, own in zip(runs, seconds, strict=True):
            began = time.perf_counter()
            run(joints)
            own.append(time.perf_counter() - began)
    return [1e3 * statistics.median(own[_RUNS_BEFORE:]) for own in seconds]
