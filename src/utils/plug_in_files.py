"""The files of the plug-ins that were found, so that an error in one is not taken for a defect of LAST.

It needs no package, because errors are also reported where one is missing.
"""

import traceback

FOUND: dict[str, str] = {}  # of which kind each file is


def plug_in_at_fault(error: BaseException) -> str:
    """Return the kind, the file and the line of the plug-in in which an error was raised; empty if in none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in FOUND:
            return f"the {FOUND[frame.filename]} {frame.filename}, line {frame.lineno}"
    return ""
