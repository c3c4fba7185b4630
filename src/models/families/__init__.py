"""Model families beside LAST-E and LAST-v2, one module each, found by its name: `model.family: NAME`.

A module has

- `Config`: a dataclass that extends `ModelConfig` with the family's numbers and their limits;
- `Model`: a `SkeletonClassifier`, made of `(config, layout, num_classes)`.

LAST-E and LAST-v2 stand one folder above, in `last_e.py` and `last_v2.py`.
"""
