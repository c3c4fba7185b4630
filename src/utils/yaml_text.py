"""YAML text as plain values, without the corners of YAML that surprise a reader or serve an attacker."""

import re
from typing import Any

import yaml

_FLOAT_WITH_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class _PlainLoader(yaml.SafeLoader):
    """Read plain types only: `1e-3` is a float, a date is text, a key is the text that stands there.

    Aliases are refused, because a few lines of them can grow to more than memory holds; so are tags, because
    the setting decides the type of its value, and keys that stand twice, because one value would be lost.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases (*name) are not read; write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"tags ({event.tag}) are not read", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:  # type: ignore[override]
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key should be a word", key)
            if key.value in values:
                raise _refused(f"the key {key.value!r} stands twice", key)
            values[key.value] = self.construct_object(value, deep=deep)
        return values


def _refused(problem: str, where: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = where.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT_WITH_EXPONENT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """Return what `text` says as dicts, lists and plain values; None where it says nothing.

    Raises:
        ValueError: it is not YAML, or uses a part of YAML that is not read here.
    """
    return parse_with_texts(text)[0]


def parse_with_texts(text: str) -> tuple[Any, Any]:
    """Return what `text` says, and the same with every value as it is written.

    Only a setting knows whether `no` is a name or a bool.

    Raises:
        ValueError: it is not YAML, or uses a part of YAML that is not read here.
    """
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        return (None, None) if node is None else (loader.construct_document(node), _texts(node))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _texts(node: yaml.Node) -> Any:
    """Return a node with every scalar as the text that stands there."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _texts(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_texts(item) for item in node.value]
    return node.value
