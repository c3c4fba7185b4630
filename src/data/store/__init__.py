"""Prepared data on the disk: its format, reading, writing, finding it, and which clips train and test."""
