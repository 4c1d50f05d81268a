"""Requests and answers of the query protocols, read and written after botocore's own service models.

The encoders are compiled once per shape: rendering a thousand instances takes tens of milliseconds, which moto's
general serializer does not reach.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ServiceModel

Encoder = Callable[[Any], str]
Tree = dict[str, Any]


@cache
def service_model(service: str) -> ServiceModel:
    """The botocore model of a service, such as `ec2` (loaded once)."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@lru_cache(maxsize=4096)
def timestamp(value: datetime) -> str:
    """A time as AWS writes it: UTC, milliseconds, `Z`."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"


# --- reading -----------------------------------------------------------------


def nested(flat: Mapping[str, str]) -> Tree:
    """`{"Filter.1.Name": "x"}` as `{"Filter": {"1": {"Name": "x"}}}`."""
    tree: Tree = {}
    for key, value in flat.items():
        *parents, leaf = key.split(".")
        node = tree
        for part in parents:
            step = node.get(part)
            if not isinstance(step, dict):
                step = node[part] = {}
            node = step
        node[leaf] = value
    return tree


def decode(shape: Any, node: Any, *, ec2: bool) -> Any:
    """A nested query tree as the keyword arguments a boto3 caller gave."""
    match shape.type_name:
        case "structure":
            return {
                name: decode(member, node[tag], ec2=ec2)
                for name, member in shape.members.items()
                if isinstance(node, dict) and (tag := _request_tag(name, member, ec2=ec2)) in node
            }
        case "list":
            return [decode(shape.member, item, ec2=ec2) for item in _items(shape, node, ec2=ec2)]
        case "map":
            entries = _numbered(node.get("entry", node))
            return {entry["key"]: decode(shape.value, entry["value"], ec2=ec2) for entry in entries}
        case kind:
            return _SCALARS.get(kind, str)(node)


def _request_tag(name: str, member: Any, *, ec2: bool) -> str:
    rules = member.serialization
    if not ec2:
        return str(rules.get("name", name)) if member.type_name != "list" or not rules.get("flattened") else name
    location = str(rules.get("name", name))
    return str(rules.get("queryName", location[:1].upper() + location[1:]))


def _items(shape: Any, node: Any, *, ec2: bool) -> list[Any]:
    if not isinstance(node, dict):
        return []
    if not ec2 and not shape.serialization.get("flattened"):
        node = node.get(shape.member.serialization.get("name", "member"), {})
    return _numbered(node)


def _numbered(node: Mapping[str, Any]) -> list[Any]:
    return [node[key] for key in sorted((key for key in node if key.isdigit()), key=int)]


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: text.lower() == "true",
    "timestamp": datetime.fromisoformat,
    "blob": b64decode,
}


# --- writing -----------------------------------------------------------------


@cache
def xml_encoder(service: str, operation: str) -> Encoder:
    """The function that turns an operation's result (boto3's names) into the XML inside its result element."""
    shape = service_model(service).operation_model(operation).output_shape
    return _Compiler().structure(shape) if shape is not None else lambda _value: ""


class _Compiler:
    """Turns shapes into encoders; a shape met again (some are recursive) is looked up when used."""

    def __init__(self) -> None:
        self._done: dict[str, Encoder] = {}

    def encoder(self, shape: Any) -> Encoder:
        build = {"structure": self.structure, "list": self.list, "map": self.map}.get(shape.type_name)
        if build is None:
            return _WRITERS.get(shape.type_name, _text)
        if shape.name not in self._done:
            self._done[shape.name] = lambda value: self._done[shape.name](value)  # noqa: PLW0108 - replaced below
            self._done[shape.name] = build(shape)
        return self._done[shape.name]

    def structure(self, shape: Any) -> Encoder:
        members = [self._member(name, member) for name, member in shape.members.items()]
        writers = dict(members)

        def encode(value: Mapping[str, Any]) -> str:
            return "".join(
                writers[name](field) for name, field in value.items() if field is not None and name in writers
            )

        return encode

    def _member(self, name: str, member: Any) -> tuple[str, Encoder]:
        tag = member.serialization.get("name", name)
        if member.type_name == "list" and member.serialization.get("flattened"):
            tag = member.member.serialization.get("name", tag)
            encode = self.encoder(member.member)
            return name, lambda items: "".join(f"<{tag}>{encode(item)}</{tag}>" for item in items)
        encode_one = self.encoder(member)
        return name, lambda item: f"<{tag}>{encode_one(item)}</{tag}>"

    def list(self, shape: Any) -> Encoder:
        tag = shape.member.serialization.get("name", "member")
        encode = self.encoder(shape.member)
        return lambda items: "".join(f"<{tag}>{encode(item)}</{tag}>" for item in items)

    def map(self, shape: Any) -> Encoder:
        encode = self.encoder(shape.value)

        def entries(value: Mapping[str, Any]) -> Iterator[str]:
            for key, item in value.items():
                yield f"<entry><key>{_text(key)}</key><value>{encode(item)}</value></entry>"

        return lambda value: "".join(entries(value))


_CONTROLS = {code: None for code in range(32) if chr(code) not in "\t\n\r"}


def _text(value: Any) -> str:
    text = str(value)
    return escape(text if text.isprintable() else text.translate(_CONTROLS))


_WRITERS: Mapping[str, Encoder] = {
    "boolean": lambda value: "true" if value else "false",
    "integer": str,
    "long": str,
    "float": repr,
    "double": repr,
    "timestamp": timestamp,
    "blob": lambda value: b64encode(value).decode(),
}
