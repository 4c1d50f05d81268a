"""The published document: valid, complete, and true of the running server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from spotd.api.limits import Limits, Rate
from tests.api.conftest import Stage, staged

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


def test_every_operation_is_in_the_guide(repository: Path) -> None:
    """`docs/api.md` names each operation of the API, so that nobody needs the document to find one."""
    guide = (repository / "docs" / "api.md").read_text()
    operations = {
        f"`{method.upper()} {path.removeprefix('/api/v1')}`"
        for path, methods in PROMISED.items()
        for method in methods
        if path.startswith("/api/v1/")
    }

    assert {operation for operation in operations if operation not in guide} == set()


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


STREAMS = ("/api/v1/stream", "/api/v1/stream/sse")
UNDECIDED = (checks.positive_data_acceptance,)
"""No schema can say which cursor the daemon made, nor which credentials AWS accepts."""


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_server_keeps_to_its_document(sqlite_url: str, tmp_path: Path, mode: GenerationMode) -> None:
    """Whatever the document allows or forbids, the server answers as the document says and never breaks."""
    plenty = Rate(burst=1e6, per_second=1e6)
    async with staged(sqlite_url, tmp_path, limits=Limits(failures=plenty, requests=plenty)) as stage:
        assert await broken(stage, mode) == {}


async def broken(stage: Stage, mode: GenerationMode) -> dict[str, str]:
    """Return what does not hold, by operation."""
    document = (await stage.client.get("/api/v1/openapi.json")).body
    document["paths"] = {path: item for path, item in document["paths"].items() if path not in STREAMS}
    stage.daemon.results["optimizer"] = {"accounts": 0}
    assert stage.client.token is not None
    return await asyncio.to_thread(broken_operations, document, mode, stage.server.url, stage.client.token)


def broken_operations(document: dict[str, Any], mode: GenerationMode, url: str, token: str) -> dict[str, str]:
    """Try every operation with generated requests; return what did not hold, by operation."""
    schema = schemathesis.openapi.from_dict(document)
    broken = {}
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if mode is GenerationMode.NEGATIVE and not _has_input(operation):
            continue
        try:
            _attempt(operation, mode, url, token)
        except (Exception, FailureGroup) as error:  # noqa: BLE001 - collected: one must not hide another
            broken[operation.label] = str(error)
    return broken


def _has_input(operation: Any) -> bool:
    return bool(operation.body or operation.query or operation.path_parameters)


def _attempt(operation: Any, mode: GenerationMode, url: str, token: str) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        case.call_and_validate(base_url=url, headers=headers, excluded_checks=list(UNDECIDED))

    attempt()
