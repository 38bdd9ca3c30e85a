"""What a spec allows at each place, asked of its JSON schema: known keys, choices, kinds, a value that would do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from qcgen.core.yamlpos import Place, Tree

Node: TypeAlias = Mapping[str, Any]

_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of keys",
}


class Schema:
    """A JSON schema with its references followed. Unions told apart by a key follow the key's value in the document."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._definitions: Mapping[str, Node] = root.get("$defs", {})

    def keys(self, place: Place, value: Tree) -> list[str]:
        return [key for node in self._at(place, value) for key in node.get("properties", {})]

    def choices(self, place: Place, value: Tree) -> list[str]:
        """The few values allowed here, empty where there are many."""
        return [str(choice) for node in self._at(place, value) for choice in _choices(node)]

    def words(self, place: Place, value: Tree) -> str:
        kinds = [_WORDS[node["type"]] for node in self._at(place, value) if node.get("type") in _WORDS]
        return " or ".join(kinds) or "a value"

    def tags(self, place: Place, value: Tree) -> list[str]:
        """The names that tell a union's branches apart."""
        return [tag for node in self._raw(place, value) for tag in node.get("discriminator", {}).get("mapping", {})]

    def has_tags(self, place: Place, value: Tree) -> bool:
        return any("discriminator" in node for node in self._raw(place, value))

    def sample(self, place: Place, value: Tree) -> Tree:
        """A value that this place would accept; patterns are met by the text `x`."""
        nodes = self._at(place, value)
        return self._sample(nodes[0]) if nodes else None

    def paths(self) -> Iterator[Place]:
        """Every dotted path of the spec, shallow ones first."""
        level: list[tuple[Place, Node]] = [((), self._root)]
        while level:
            deeper: list[tuple[Place, Node]] = []
            for place, raw in level:
                yield place
                for node in self._branches(raw, None):
                    deeper += [((*place, key), child) for key, child in node.get("properties", {}).items()]
            level = deeper

    def _at(self, place: Place, value: Tree) -> list[Node]:
        return [node for raw in self._raw(place, value) for node in self._branches(raw, _dig(value, place))]

    def _raw(self, place: Place, value: Tree) -> list[Node]:
        nodes = [self._follow(self._root)]
        for depth, step in enumerate(place):
            branches = [branch for node in nodes for branch in self._branches(node, _dig(value, place[:depth]))]
            nodes = [self._follow(child) for branch in branches if (child := _child(branch, step)) is not None]
        return nodes

    def _follow(self, node: Node) -> Node:
        while "$ref" in node:
            node = self._definitions[node["$ref"].rpartition("/")[2]]
        return node

    def _branches(self, node: Node, value: Tree) -> list[Node]:
        node = self._follow(node)
        if "discriminator" in node:
            told = node["discriminator"]
            tag = value.get(told["propertyName"]) if isinstance(value, dict) else None
            reference = told["mapping"].get(tag) if isinstance(tag, str) else None
            chosen = [{"$ref": reference}] if reference else node["oneOf"]
            return [branch for option in chosen for branch in self._branches(option, None)]
        options = node.get("anyOf") or node.get("oneOf")
        return [branch for option in options for branch in self._branches(option, value)] if options else [node]

    def _sample(self, raw: Node) -> Tree:
        node = self._branches(raw, None)[0]
        if choices := _choices(node):
            return cast(Tree, choices[0])
        match node.get("type"):
            case "integer":
                return int(node.get("minimum", 1))
            case "number":
                low = float(node.get("minimum", node.get("exclusiveMinimum", 0)))
                high = float(node.get("maximum", node.get("exclusiveMaximum", low + 1)))
                return (low + high) / 2
            case "boolean":
                return True
            case "array":
                return [self._sample(entry) for entry in node.get("prefixItems", [])]
            case "object":
                return {key: self._sample(node["properties"][key]) for key in node.get("required", [])}
            case _:
                return "x"


def place_of(value: Tree, schema: Schema, location: Sequence[str | int]) -> Place:
    """pydantic's location without the names of union branches: the place in the document."""
    place: Place = ()
    tag_seen_at: Place | None = None
    for step in location:
        here = _dig(value, place)
        if tag_seen_at != place and schema.has_tags(place, value):
            tag_seen_at = place
        elif (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        ):
            place = (*place, step)
    return place


def _choices(node: Node) -> list[Any]:
    return [node["const"]] if "const" in node else list(node.get("enum", []))


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, int):
        fixed = node.get("prefixItems", [])
        child = fixed[step] if step < len(fixed) else node.get("items")
    else:
        child = node.get("properties", {}).get(step, node.get("additionalProperties"))
    return child if isinstance(child, Mapping) else None


def _dig(value: Tree, place: Place) -> Tree:
    for step in place:
        if isinstance(value, dict) and step in value:
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
