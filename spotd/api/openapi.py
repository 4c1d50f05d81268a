"""OpenAPI 3.1, generated from the route table and the types that the handlers really use."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from spotd.api.access import Scope
from spotd.api.problems import MEDIA_TYPE, Problem
from spotd.api.routing import Route

REF = "#/components/schemas/{name}"
PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}}
EVERY_ROUTE = (421, 500)
WITH_TOKEN = (401, 403, 429, 503)
PATH_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "account": {
        "description": "exactly twelve digits are the AWS account id, anything else the account's integer id",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
    "id": {"description": "the thing's integer id", "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"}},
}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a token; its scopes say what it may do"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Spotd-Signature",
        "description": '`t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, at most five minutes old',
    },
}


def document(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document of these routes."""
    table = tuple(routes)
    kinds = [Problem, *(kind for route in table for kind in (route.body, route.response, route.query) if kind)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    by_kind = {_key(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind, components)
        if route.alias:
            alias = _operation(route, by_kind, components) | {"operationId": f"{route.operation}_at_root"}
            paths.setdefault(route.alias, {})[route.method.lower()] = alias
    queries = {route.query.__name__ for route in table}
    return {
        "openapi": "3.1.0",
        "info": {"title": "spotd", "version": version, "description": "Control API of the spotd daemon."},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _key(kind: Any) -> str:
    """Types and unions of types are told apart by what they print as."""
    return repr(kind)


def _operation(route: Route, schemas: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": [*_path_parameters(route), *_query_parameters(components[route.query.__name__])],
        "responses": _responses(route, schemas),
        "security": _security(route),
    }
    if route.body is not None:
        content = {"application/json": {"schema": schemas[_key(route.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _tag(route: Route) -> str:
    return route.path.removeprefix("/api/v1").split("/")[1] or "root"


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]} for name in names]


def _query_parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(part)}
        for name, part in schema.get("properties", {}).items()
    ]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An optional parameter is left out, never sent as null."""
    kept = {name: value for name, value in schema.items() if name != "default" or value not in (None, [])}
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        return {**kept, **options[0]}
    return kept


def _responses(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.response is not None:
        good["content"] = {media: _content(media, schemas[_key(route.response)]) for media in route.media}
    elif route.media != ("application/json",):
        good["content"] = {media: {"schema": {"type": "string"}} for media in route.media}
    answers = {
        str(status): {**good, "description": HTTPStatus(status).phrase} for status in (route.status, *route.also)
    }
    return answers | {
        str(status): {"description": HTTPStatus(status).phrase, "content": PROBLEM} for status in _refusals(route)
    }


def _content(media: str, schema: Any) -> dict[str, Any]:
    return {"schema": schema if media == "application/json" else {"type": "string"}}


def _refusals(route: Route) -> list[int]:
    statuses = {*EVERY_ROUTE, 422, *route.refusals}
    if route.scope is not Scope.PUBLIC:
        statuses.update(WITH_TOKEN)
    if route.body is not None or route.raw:
        statuses.update((400, 413))
    if "{" in route.path:
        statuses.add(404)
    return sorted(statuses - set(route.also))


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.scope is Scope.PUBLIC or route.scope is None:
        return []
    ways = [{"bearer": [route.scope.value]}]
    return [*ways, {"signature": []}] if route.signed else ways
