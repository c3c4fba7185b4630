"""Readers of the field's recording formats, found by their modules' names: `data.format: ntu` is `ntu.py`."""
