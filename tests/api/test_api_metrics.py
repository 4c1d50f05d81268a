"""Prometheus metrics: their names are a promise."""

import asyncio
import re

from spotd.model.health import ComponentState
from tests.api.conftest import ACCOUNT, Stage, accepting_keys, component, pulse

NAMES = {
    "spotd_accounts",
    "spotd_build_info",
    "spotd_component_severity",
    "spotd_events_accepted_total",
    "spotd_http_request_seconds",
    "spotd_http_requests_total",
    "spotd_instances",
    "spotd_instances_by_lifecycle",
    "spotd_loop_failures",
    "spotd_loop_last_success_age_seconds",
    "spotd_store_answered",
    "spotd_stream_clients",
}


def names_of(text: str) -> set[str]:
    """Return the metric families of an exposition."""
    return {name for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) if not name.endswith("_created")}


async def test_names_are_frozen(stage: Stage) -> None:
    """Dashboards and alerts use these names: adding one is fine, losing one is not."""
    now = asyncio.get_running_loop().time()
    stage.daemon.components = {"aws": component(ComponentState.DEGRADED), "redis": component(enabled=False)}
    stage.daemon.beats = {"prices": pulse(started=now, last_ok=now)}
    accepting_keys(stage.fake)
    await stage.client.post("/api/v1/accounts", {"account_id": ACCOUNT, "name": "a"})
    reply = await stage.client.get("/metrics")

    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    assert names_of(reply.body) == NAMES
    assert 'spotd_component_severity{component="aws"} 1.0' in reply.body
    assert "redis" not in reply.body
    assert 'spotd_accounts{status="pending"} 1.0' in reply.body
    assert "spotd_events_accepted_total 3.0" in reply.body
    assert 'route="/api/v1/accounts"' in reply.body


async def test_paths_with_ids_are_no_labels(lite: Stage) -> None:
    """Requests are counted by route pattern, so that no id ever becomes a label."""
    for path in ("/api/v1/accounts/123456789012", "/api/v1/recommendations/77", "/nothing/i-0123"):
        await lite.client.get(path)
    text = (await lite.client.get("/metrics")).body

    assert "/api/v1/accounts/{account}" in text
    assert not re.search(r"123456789012|/77|i-0123", text)


async def test_scrape_goes_on_without_the_store(lite: Stage) -> None:
    """While the store is gone the scrape says so and gives the rest."""
    assert (await lite.client.get("/metrics")).status == 200
    await lite.db.close()
    reply = await lite.client.get("/metrics")

    assert (reply.status, "spotd_store_answered 0.0" in reply.body) == (200, True)
    assert "spotd_accounts" not in reply.body
    assert "spotd_build_info" in reply.body
