"""Formatting of numbers in messages."""


def counted(number: float, noun: str) -> str:
    """Return a count with its noun: `1 epoch`, `1,200 clips`, `2 bodies`."""
    figure = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{figure} {noun if number == 1 else _plural(noun)}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in per cent: `37 %`, below a tenth `2.5 %`."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"
