"""Tell what is installed, found and missing, and what to do next."""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec

from ..training.run_search import attached_runs
from ..utils.config import config_names
from ..utils.machine import CPU_INFO, processor
from ..utils.places import Places
from ..utils.program import install_command, program
from ..utils.versions import git_commit, versions
from . import terminal
from .failures import REQUIRED
from .folders import places_of
from .options import add_shared, examples

# extra: what has to be importable, and what it is for
_EXTRAS = {
    "plots": (("matplotlib", "PIL"), "training curves, confusion matrices, animated skeletons"),
    "tensorboard": (("tensorboard",), "TensorBoard scalars"),
    "deploy": (("onnx", "onnxscript", "onnxruntime", "openvino"), "exporting models and running them without torch"),
}


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
    places = places_of(arguments)
    stores = list(_stores(places))
    findings = [*_versions(), *_devices(), *_folders(places), *stores, *_runs(places), *_extras()]
    steps = list(_next_steps(findings, stores))
    ok = all(finding.state != "broken" for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": ok, "findings": [asdict(item) for item in findings], "next": steps}, indent=2))
    else:
        rows = [(item.topic, item.subject, item.found, item.state) for item in findings]
        terminal.table("LAST doctor", ("what", "which", "found", "state"), rows)
        terminal.say("\nNext:", *steps, sep="\n  ")
    return 0 if ok else 1


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
    from ..training.precision import gpu_problem

    yield Finding("device", "cpu", f"{processor()}, {torch.get_num_threads()} threads, {_cpu_bf16()}")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if device.major >= 8 else "no fast bf16"
        problem = gpu_problem(index)
        about = f"{device.name}, {device.total_memory / 2**30:.1f} GiB, {bf16}"
        yield Finding("device", f"cuda:{index}", problem or about, "broken" if problem else "ok")
    if not torch.cuda.is_available():
        yield Finding("device", "cuda", "none", "missing")
    if torch.backends.mps.is_available():
        yield Finding("device", "mps", "available, untested with LAST")


def _cpu_bf16() -> str:
    words = set(CPU_INFO.read_text(encoding="utf-8").split()) if CPU_INFO.exists() else set()
    return "fast bf16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "bf16 without hardware support"


def _folders(places: Places) -> Iterator[Finding]:
    yield Finding("environment", "name", places.environment)
    data_root = places.data_root.absolute()
    found = "" if data_root.is_dir() else ", does not exist"
    yield Finding("environment", "data_root", f"{data_root}{found}", "missing" if found else "ok")
    for root in places.input_roots:
        found = "" if root.is_dir() else ", does not exist"
        yield Finding("environment", "input_root", f"{root.absolute()}{found}", "missing" if found else "ok")

    output_root = places.output_root.absolute()
    existing = next(folder for folder in (output_root, *output_root.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Finding("environment", "output_root", f"{output_root}, cannot be written", "broken")
        return
    free = shutil.disk_usage(existing).free / 2**30
    found = "" if existing == output_root else ", will be created"
    yield Finding("environment", "output_root", f"{output_root}{found}, {free:.1f} GiB free")


def _stores(places: Places) -> Iterator[Finding]:
    """Find the prepared data sets, where training would find them."""
    from ..data.locate import find_stores

    for store in find_stores([places.data_root, *places.input_roots]):
        if store.problem:
            yield Finding("data", store.name, store.problem, "missing")
        else:
            yield Finding("data", store.name, f"{store.path}, {'?' if store.clips is None else store.clips} clips")


def _runs(places: Places) -> Iterator[Finding]:
    """Find the runs of earlier sessions, which lie below the input folders."""
    for run in attached_runs(places.output_root, places.input_roots):
        yield Finding("run", run.path.name, f"{run.path}, {'finished' if run.finished else 'can be resumed'}")


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
    broken = [finding for finding in findings if finding.state == "broken"]
    if any(finding.topic == "version" or finding.subject == "torch" for finding in broken):
        yield f"install what is broken above: {_repair(findings)}"
    if any(finding.subject.startswith("cuda:") for finding in broken):
        yield "without that GPU: --device cpu with every command"
    if any(finding.subject == "output_root" for finding in broken):
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
