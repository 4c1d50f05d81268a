"""The published document: valid, complete, and true of the running server."""

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from tests.api.conftest import Stage

PROMISED = {
    "/livez": {"get"},
    "/readyz": {"get"},
    "/healthz": {"get"},
    "/metrics": {"get"},
    "/connect": {"post"},
    "/events": {"post"},
    "/api/v1/connect": {"post"},
    "/api/v1/accounts": {"get", "post"},
    "/api/v1/accounts/{account}": {"get", "delete"},
    "/api/v1/accounts/{account}/credentials": {"put"},
    "/api/v1/accounts/{account}/discover": {"post"},
    "/api/v1/accounts/{account}/policies": {"get"},
    "/api/v1/accounts/{account}/verify": {"post"},
    "/api/v1/events": {"get", "post"},
    "/api/v1/health": {"get"},
    "/api/v1/health/check": {"post"},
    "/api/v1/health/history": {"get"},
    "/api/v1/instances": {"get"},
    "/api/v1/openapi.json": {"get"},
    "/api/v1/optimizer/run": {"post"},
    "/api/v1/overview": {"get"},
    "/api/v1/prices": {"get"},
    "/api/v1/quarantine": {"get"},
    "/api/v1/recommendations": {"get"},
    "/api/v1/recommendations/{id}": {"get"},
    "/api/v1/reload": {"post"},
    "/api/v1/stream": {"get"},
    "/api/v1/stream/sse": {"get"},
    "/api/v1/stream/ticket": {"post"},
    "/api/v1/tokens": {"get", "post"},
    "/api/v1/tokens/{id}": {"delete"},
}


async def test_document_is_valid(lite: Stage) -> None:
    """The document is OpenAPI 3.1, by the standard's own schema."""
    document = (await lite.client.get("/api/v1/openapi.json")).body

    validate(document, cls=OpenAPIV31SpecValidator)
    assert document["openapi"].startswith("3.1")


async def test_document_has_what_is_promised(lite: Stage) -> None:
    """Every path of the contract is served, and nothing that nobody wrote down."""
    document = (await lite.client.get("/api/v1/openapi.json")).body

    assert {path: set(item) for path, item in document["paths"].items()} == PROMISED


async def test_operations_have_names_and_sentences(lite: Stage) -> None:
    """Every operation has a name of its own and a sentence."""
    document = (await lite.client.get("/api/v1/openapi.json")).body
    operations = [operation for item in document["paths"].values() for operation in item.values()]

    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"].endswith(".") for operation in operations)
