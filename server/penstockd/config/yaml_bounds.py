"""How much there may be in a YAML document, however little text it is."""

from collections.abc import Iterable
from itertools import chain
from typing import Final, NamedTuple

import yaml

DEEPEST: Final = 64
MOST_REPEATED: Final = 100_000


class Refusal(yaml.MarkedYAMLError):
    """What we find wrong in a document ourselves: what, and where."""

    def __init__(self, problem: str, mark: yaml.Mark | None) -> None:
        super().__init__(None, None, problem, mark)


class _Extent(NamedTuple):
    """How many values there are in a node, its aliases written out, and how deep they are nested."""

    size: int
    height: int


class Bounded(yaml.SafeLoader):
    """Raises Refusal before a document takes too long to read."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0
        self._repeated = 0
        self._extents: dict[yaml.Node | None, _Extent] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node, unless it is too deep, or too large with its aliases written out."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stub leaves it bare
        self._level += 1
        self._check_depth(0, event.start_mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if node in self._extents:  # an alias
            self._repeated += self._extents[node].size
        else:
            self._extents[node] = self._extent(node)
        self._check_depth(self._extents[node].height, event.start_mark)
        if self._repeated > MOST_REPEATED:
            raise Refusal(f"aliases repeat more than {MOST_REPEATED} values", event.start_mark)
        if event.anchor and isinstance(node, yaml.ScalarNode) and node.style is None and not node.value:
            raise Refusal("this anchor is of nothing; put text that begins with & in quotes", event.start_mark)
        return node

    def _check_depth(self, below: int, mark: yaml.Mark | None) -> None:
        if self._level + below > DEEPEST:
            raise Refusal(f"is nested more than {DEEPEST} deep", mark)

    def _extent(self, node: yaml.Node | None) -> _Extent:
        nodes: Iterable[yaml.Node] = ()
        match node:
            case yaml.MappingNode():
                nodes = chain.from_iterable(node.value)
            case yaml.SequenceNode():
                nodes = node.value
        below = [self._extents[each] for each in nodes if each in self._extents]  # one that has itself in it is not yet
        return _Extent(1 + sum(each.size for each in below), 1 + max((each.height for each in below), default=0))
