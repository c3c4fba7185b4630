"""The kinds of faults that an inspection looks for. A new one is a `Check` in the list of one of these modules."""

from ..check import Check
from . import bodies, copies, geometry, labels, lengths, motion, values, whole_set

ALL: tuple[Check, ...] = (
    *values.CHECKS,
    *whole_set.CHECKS,
    *labels.CHECKS,
    *copies.CHECKS,
    *motion.CHECKS,
    *geometry.CHECKS,
    *bodies.CHECKS,
    *lengths.CHECKS,
)
