"""Which keys of distillation a resumed run may change. It imports no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..tasks.recipe import ResumeRules

if TYPE_CHECKING:
    from ..settings.distillation import DistillationConfig

# The checkpoints' paths; their content is `distillation.fingerprints`.
HARMLESS = ("distillation.teachers", "distillation.cache")
_FIXED = ("distillation.fingerprints", "distillation.method", "distillation.unlabelled", "distillation.peers")
# With learned maps to the teachers' features, which exist only where alpha leaves the teachers a weight.
_FIXED_WITH_FEATURES = (
    *("distillation.alpha", "distillation.alpha_of"),
    *("distillation.alpha_other", "distillation.alpha_end"),
)


def distillation_rules(before: "DistillationConfig", now: "DistillationConfig") -> ResumeRules:
    """Return the rules for a run with the settings `before` that is resumed with those `now`."""
    unused = () if before.learns_from_others or now.learns_from_others else ("distillation",)
    with_features = _FIXED_WITH_FEATURES if before.method == "features" else ()
    return ResumeRules((*HARMLESS, *unused), (*_FIXED, *with_features))


def identity(config: Mapping[str, Any]) -> object:
    """Return the fingerprints of the teachers in a plain configuration, or the number of peers."""
    section = config.get("distillation")
    if not isinstance(section, Mapping):
        return []
    return section.get("fingerprints") or section.get("peers") or []
