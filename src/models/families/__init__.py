"""Model families in addition to LAST-E and LAST-v2, one module each, found by its name: `model.family: NAME`.

A module has

- `Config`: a dataclass that extends `ModelConfig` with the family's sizes and their limits;
- `Model`: a `SkeletonClassifier`, created with `(config, layout, num_classes)`.

LAST-E and LAST-v2 are one folder above, in `last_e.py` and `last_v2.py`.
"""
