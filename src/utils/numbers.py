"""Formatting of numbers in messages."""

_SHOWN_IN_SECONDS = 100


def counted(number: float, noun: str) -> str:
    """Return a count with its noun: `1 epoch`, `1,200 clips`, `2 bodies`."""
    figure = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{figure} {noun if number == 1 else _plural(noun)}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in per cent: `37 %`, below a tenth `2.5 %`."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def file_size(size_bytes: int) -> str:
    """Return a size in bytes with its unit: `12 KiB`, `3.4 MiB`, `1.2 GiB`."""
    for exponent, unit in ((30, "GiB"), (20, "MiB")):
        if size_bytes >= 1 << exponent:
            return f"{size_bytes / 2**exponent:.1f} {unit}"
    return f"{size_bytes / 2**10:.0f} KiB"


def duration(seconds: float) -> str:
    """Return a duration as text: `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < _SHOWN_IN_SECONDS:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:] not in ("ay", "ey", "oy"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"
