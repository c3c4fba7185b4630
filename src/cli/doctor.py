"""Tell what is installed, found and missing, and what to do next."""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..utils.config import config_names, detect_environment, named_layer
from ..utils.errors import UserError
from ..utils.files import read_json
from ..utils.machine import CPU_INFO, processor
from ..utils.program import install_command, program
from ..utils.versions import git_commit, versions
from . import terminal
from .failures import REQUIRED
from .options import add_shared, examples

# extra: what has to be importable, and what it is for
_EXTRAS = {
    "plots": (("matplotlib", "PIL"), "training curves, confusion matrices, animated skeletons"),
    "tensorboard": (("tensorboard",), "TensorBoard scalars"),
    "deploy": (("onnx", "onnxscript", "onnxruntime", "openvino"), "exporting models and running them without torch"),
}
_STORE_HEADER = "store.json"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic, subject: what was looked at.
        found: what was found there, in words.
        state: `ok`; `missing`, which LAST can do without; `broken`, which it cannot.
    """

    topic: str
    subject: str
    found: str
    state: str = "ok"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_shared(parser, "--env", "--data_root", "--output_root")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.epilog = examples("""
        {program} doctor
        {program} doctor --env lambda --json
    """)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; return 0, or 1 where something essential is broken."""
    places = _places(arguments)
    stores = list(_stores(Path(places["data_root"])))
    findings = [*_versions(), *_devices(), *_folders(places), *stores, *_extras()]
    steps = list(_next_steps(findings, stores))
    ok = all(finding.state != "broken" for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": ok, "findings": [asdict(item) for item in findings], "next": steps}, indent=2))
    else:
        rows = [(item.topic, item.subject, item.found, item.state) for item in findings]
        terminal.table("LAST doctor", ("what", "which", "found", "state"), rows)
        print("\nNext:", *steps, sep="\n  ")
    return 0 if ok else 1


def _places(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the environment's name and its two folders, as training would take them."""
    name = detect_environment(arguments.env or "")
    values = named_layer("environment", name, "environment").values
    return {
        "environment": name,
        "data_root": arguments.data_root or values["data_root"],
        "output_root": arguments.output_root or values["output_root"],
    }


def _versions() -> Iterator[Finding]:
    for package, number in versions().items():
        yield Finding("version", package, number or "not installed", "ok" if number else "broken")
    for module in REQUIRED:
        if module not in versions() and find_spec(module) is None:
            yield Finding("version", module, "not installed", "broken")
    yield Finding("version", "git commit", git_commit() or "not in a git checkout")


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of torch does not load
        yield Finding("device", "torch", f"cannot be imported: {error}", "broken")
        return
    yield Finding("device", "cpu", f"{processor()}, {torch.get_num_threads()} threads, {_cpu_bf16()}")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if device.major >= 8 else "no fast bf16"
        yield Finding("device", f"cuda:{index}", f"{device.name}, {device.total_memory / 2**30:.1f} GiB, {bf16}")
    if not torch.cuda.is_available():
        yield Finding("device", "cuda", "none", "missing")
    if torch.backends.mps.is_available():
        yield Finding("device", "mps", "available, untested with LAST")


def _cpu_bf16() -> str:
    words = set(CPU_INFO.read_text(encoding="utf-8").split()) if CPU_INFO.exists() else set()
    return "fast bf16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "bf16 without hardware support"


def _folders(places: dict[str, Any]) -> Iterator[Finding]:
    yield Finding("environment", "name", places["environment"])
    data_root = Path(places["data_root"]).absolute()
    found = "" if data_root.is_dir() else ", does not exist"
    yield Finding("environment", "data_root", f"{data_root}{found}", "missing" if found else "ok")

    output_root = Path(places["output_root"]).absolute()
    existing = next(folder for folder in (output_root, *output_root.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Finding("environment", "output_root", f"{output_root}, cannot be written", "broken")
        return
    free = shutil.disk_usage(existing).free / 2**30
    found = "" if existing == output_root else ", will be created"
    yield Finding("environment", "output_root", f"{output_root}{found}, {free:.1f} GiB free")


def _stores(data_root: Path) -> Iterator[Finding]:
    """Find the prepared data sets below `data_root`, or one level deeper, as Kaggle mounts its inputs."""
    for header in sorted([*data_root.glob(f"*/{_STORE_HEADER}"), *data_root.glob(f"*/*/{_STORE_HEADER}")]):
        try:
            about = read_json(header)
        except UserError as error:
            yield Finding("data", header.parent.name, str(error), "missing")
        else:
            yield Finding("data", header.parent.name, f"{header.parent}, {about.get('clips', '?')} clips")


def _extras() -> Iterator[Finding]:
    for extra, (modules, purpose) in _EXTRAS.items():
        absent = [module for module in modules if find_spec(module) is None]
        found = f"no {', no '.join(absent)}, needed for {purpose}" if absent else purpose
        yield Finding("extra", extra, found, "missing" if absent else "ok")


def _repair(findings: list[Finding]) -> str:
    """Return the command that installs what is not there, or again what is there and cannot be imported."""
    absent = any(finding.topic == "version" and finding.state == "broken" for finding in findings)
    return install_command("last-har") if absent else install_command("--force-reinstall", "torch")


def _next_steps(findings: list[Finding], stores: list[Finding]) -> Iterator[str]:
    """Yield what a newcomer would do now, the most urgent first."""
    if any(finding.topic in ("version", "device") and finding.state == "broken" for finding in findings):
        yield f"install what is broken above: {_repair(findings)}"
    if any(finding.subject == "output_root" and finding.state == "broken" for finding in findings):
        yield "choose a folder for runs that can be written: --output_root DIR"
    for finding in findings:
        if finding.topic == "extra" and finding.state == "missing":
            yield f"for {_EXTRAS[finding.subject][1]}: {install_command(f'last-har[{finding.subject}]')}"
    ready = [store.subject for store in stores if store.state == "ok"]
    if ready:
        known = [name for name in ready if name in config_names("data")]
        yield f"train: {program()} train --model nano_e --dataset {known[0] if known else 'YAML'}"
    else:
        yield f"see everything work on synthetic data: {program()} demo"
        yield f"prepare real recordings: {program()} preprocess --dataset ntu60 --raw DIR"
