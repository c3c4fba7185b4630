"""Every speed figure of the project, each against a plain reference in the same run: `python -m last benchmark`."""
