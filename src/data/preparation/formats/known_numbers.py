"""Numbers of people, cameras and so on, of which 0 stands for an unknown one."""

from collections.abc import Iterable


def number_of_zero(numbers: Iterable[int]) -> int:
    """Return the number that stands for the person (camera, ...) 0: the one after the highest.

    The other numbers stay what they are, since protocols list them. If no number but 0 is given, or no 0, it is 0.
    """
    given = set(numbers)
    return max(given) + 1 if 0 in given and len(given) > 1 else 0
