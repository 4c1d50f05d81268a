"""Health, probes and ticks on demand."""

import asyncio

import pytest
from msgspec import Struct
from msgspec.structs import replace

from spotd.config import ConfigError, Problem
from spotd.model.health import ComponentState
from tests.api.conftest import Stage, component, pulse


class Result(Struct):
    """What a tick came to."""

    accounts: int
    recommended: int


async def test_worst_enabled_component_is_the_status(lite: Stage) -> None:
    """The status is the worst of what is enabled; a disabled component does not count."""
    lite.daemon.components = {
        "database": component(),
        "aws": component(ComponentState.DEGRADED),
        "redis": component(ComponentState.CRITICAL, enabled=False),
    }
    reply = await lite.client.get("/api/v1/health")

    assert (reply.status, reply.body["status"]) == (200, "degraded")
    assert set(reply.body["components"]["aws"]) == {"status", "enabled", "details", "since", "checked_at"}
    assert reply.body["components"]["redis"]["enabled"] is False


async def test_health_is_checked_now(lite: Stage) -> None:
    """`POST /health/check` runs the checks and answers with the document."""
    lite.daemon.components = {"database": component()}
    reply = await lite.client.post("/api/v1/health/check")

    assert (reply.status, reply.body["status"]) == (200, "healthy")
    assert lite.daemon.ticked == ["health"]


async def test_optimizer_runs_now(lite: Stage) -> None:
    """`POST /optimizer/run` answers with the tick's own result."""
    lite.daemon.results["optimizer"] = Result(accounts=2, recommended=20)
    reply = await lite.client.post("/api/v1/optimizer/run")

    assert (reply.status, reply.body) == (200, {"accounts": 2, "recommended": 20})


async def test_reload(lite: Stage) -> None:
    """`POST /reload` answers with what changed, and needs `admin`."""
    reply = await lite.client.post("/api/v1/reload")
    limited = await lite.token("read", "approve", "accounts")

    assert (reply.status, reply.body) == (200, {"changed": []})
    assert (await limited.post("/api/v1/reload")).status == 403


async def test_bad_configuration_is_refused_with_all_its_problems(lite: Stage) -> None:
    """A reload of a configuration that is not valid is a 422 that points at every option."""
    problems = [Problem("api.port", "must be a number", "config.toml"), Problem("", "no such file", "config.toml")]
    lite.daemon.refuse_reload = ConfigError(problems)
    reply = await lite.client.post("/api/v1/reload")

    assert (reply.status, reply.body["code"]) == (422, "bad_config")
    assert [error["pointer"] for error in reply.body["errors"]] == ["/api/port", "/"]


@pytest.mark.parametrize(
    ("status", "word"),
    [(ComponentState.HEALTHY, "pass"), (ComponentState.DEGRADED, "warn"), (ComponentState.CRITICAL, "fail")],
)
async def test_full_document(lite: Stage, status: ComponentState, word: str) -> None:
    """`/healthz` says pass, warn or fail beside our own words, and each loop's ages."""
    lite.daemon.components = {"database": component(status)}
    now = asyncio.get_running_loop().time()
    lite.daemon.beats = {"health": pulse(started=now - 5, last_ok=now - 4), "prices": pulse()}
    body = (await lite.client.get("/healthz")).body

    assert (body["status"], body["state"]) == (word, status.value)
    assert 4 <= body["loops"]["health"]["last_ok_seconds"] < 60
    assert body["loops"]["prices"]["last_ok_seconds"] is None


async def test_ready_until_there_is_a_reason(lite: Stage) -> None:
    """`/readyz` is 200 without a reason and 503 with them; neither needs a token."""
    ready = await lite.client.using(None).get("/readyz")
    lite.daemon.reasons = ["draining"]
    unready = await lite.client.using(None).get("/readyz")

    assert (ready.status, ready.body["status"]) == (200, "ok")
    assert (unready.status, unready.body["reasons"]) == (503, ["draining"])


@pytest.mark.parametrize(("details", "status"), [({"error": "timed out"}, 503), ({"round_trip_ms": 900}, 200)])
async def test_not_ready_without_the_database(lite: Stage, details: dict[str, object], status: int) -> None:
    """A database that did not answer the last check makes the daemon unready; a slow one does not."""
    lite.daemon.components = {"database": replace(component(ComponentState.CRITICAL), details=details)}

    assert (await lite.client.get("/readyz")).status == status


async def test_tick_that_takes_too_long_may_be_retried(lite: Stage) -> None:
    """A tick past its deadline is a 503 to retry."""
    lite.daemon.results["optimizer"] = TimeoutError()
    reply = await lite.client.post("/api/v1/optimizer/run")

    assert (reply.status, reply.body["code"], reply.body["retryable"]) == (503, "timed_out", True)


async def test_alive_while_health_ticks(lite: Stage) -> None:
    """`/livez` fails once the health loop has not ticked for long, whatever the store does."""
    now = asyncio.get_running_loop().time()
    await lite.db.close()
    statuses = []
    for age in (0, 100, 1000):
        lite.daemon.beats = {"health": pulse(started=now - age)}
        statuses.append((await lite.client.using(None).get("/livez")).status)

    assert statuses == [200, 200, 503]


async def test_alive_before_the_first_tick(lite: Stage) -> None:
    """A daemon that has just started is alive."""
    assert (await lite.client.using(None).get("/livez")).status == 200


async def test_unexpected_error_says_nothing_of_the_inside(lite: Stage) -> None:
    """A bug is a 500 without its text, and the API goes on."""
    lite.daemon.components = {"aws": "no component"}  # type: ignore[dict-item]
    reply = await lite.client.get("/api/v1/health")

    assert (reply.status, reply.body["code"]) == (500, "internal")
    assert "str" not in reply.body["detail"]
    assert (await lite.client.get("/readyz")).status == 200
