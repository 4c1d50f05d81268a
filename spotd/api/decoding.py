"""From bytes and query strings to checked values; what does not fit is a 422 that points at the field."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from aiohttp import web
from msgspec import Struct

from spotd.api.problems import Pointed, Refusal, unprocessable

MAX_DEPTH = 32
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
BRACKETS = re.compile(rb"[\[\]{}]")
PLACE = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")

Q = TypeVar("Q", bound=Struct)


def query_of(request: web.Request, kind: type[Q]) -> Q:
    """Read the query parameters; raises Refusal 422 for an unknown, repeated or malformed one."""
    known = {each.encode_name: _is_repeatable(each.type) for each in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for name in request.query:
        if name not in known:
            raise unprocessable(
                f"/{escaped(name)}", f"there is no such parameter; there are: {', '.join(known) or 'none'}"
            )
        given = request.query.getall(name)
        if known[name]:
            values[name] = given
        elif len(given) > 1:
            raise unprocessable(f"/{escaped(name)}", "the parameter is given more than once")
        else:
            values[name] = given[0]
        if any(not _storable(text) for text in given):
            raise unprocessable(f"/{escaped(name)}", "the value holds characters that are no text")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def body_of(raw: bytes, kind: Any) -> Any:
    """Read a JSON body; raises Refusal 400 for what is no JSON, 422 for what does not fit."""
    if _depth_exceeds(raw, MAX_DEPTH):
        raise Refusal(422, "too_deep", f"the body nests deeper than {MAX_DEPTH} levels")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "malformed_json", f"the body is no JSON: {error}") from None


def invalid(error: msgspec.ValidationError) -> Refusal:
    """Turn the decoder's message into a pointed problem."""
    match = PLACE.match(str(error))
    detail, path = (match["detail"], match["path"]) if match else (str(error), None)
    pointer = pointer_of(path or "$")
    named = UNKNOWN.search(detail) or MISSING.search(detail)
    if named:
        pointer = f"{pointer}/{escaped(named['name'])}"
    return Refusal(422, "invalid_input", detail, errors=(Pointed(pointer, detail),))


def pointer_of(path: str) -> str:
    """Turn the decoder's `$.regions[0]` into RFC 6901's `/regions/0`."""
    parts = re.findall(r"\.([^.\[\]]+)|\[([^\]]*)\]", path)
    return "".join("/" + escaped(name or index.strip("'\"")) for name, index in parts)


def escaped(name: str) -> str:
    """Escape one part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _is_repeatable(kind: Any) -> bool:
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(bare) is tuple


def _storable(text: str) -> bool:
    """Whether a database can hold the text: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _depth_exceeds(raw: bytes, limit: int) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    depth = 0
    for bracket in BRACKETS.findall(STRINGS.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def path_values(request: web.Request) -> Mapping[str, str]:
    """Return the path's variables; raises Refusal 404 for one that no stored thing can have."""
    if any(not _storable(value) for value in request.match_info.values()):
        raise Refusal(404, "not_found", "There is no such thing.")
    return dict(request.match_info)
