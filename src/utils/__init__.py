"""Utilities that every package may use and that depend on no other: errors, files, progress, configuration files."""
