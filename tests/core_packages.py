"""A program's first lines, after which it has only the packages of an installation without extras."""

BLOCK = """
import sys

NOT_THERE = {"torch", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "jinja2", "filelock"}


class NotThere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NOT_THERE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotThere())
"""
