"""`spotd status`: the daemon in one look, quick enough to poll."""

import sys
from collections.abc import Mapping
from typing import Any

from spotd.cli.client import Client, find_client
from spotd.cli.failures import DEGRADED, Failure
from spotd.cli.output import money, show_json


def quick_status(form: str | None) -> int:
    """Print the status and return the exit code, without click."""
    try:
        return show_status(find_client(), form)
    except Failure as failure:
        return failure.report()
    except KeyboardInterrupt:
        return 130


def show_status(client: Client, form: str | None) -> int:
    """Print health and the fleet's figures; return 5 unless everything is healthy."""
    health, overview = client.get("/health"), client.get("/overview")
    if form == "json":
        show_json({"status": health["status"], "components": _states(health), "overview": overview})
    else:
        _show(health, overview)
    return 0 if health["status"] == "healthy" else DEGRADED


def _show(health: Mapping[str, Any], overview: Mapping[str, Any]) -> None:
    print(f"status     {health['status']}")
    for name, component in health["components"].items():
        if component["status"] != "healthy":
            starting = " (starting)" if component["details"].get("starting") else ""
            print(f"  {name}: {component['status']}{starting} since {component['since']}")
    counts = overview["counts"]
    running = counts["by_state"].get("running", 0)
    print(f"accounts   {counts['accounts']}")
    print(f"instances  {counts['instances']} ({running} running, {counts['by_lifecycle'].get('spot', 0)} Spot)")
    print(f"cost       {_figure(overview, 'cost_micros_per_hour', money)} an hour")
    print(f"cpu        {_figure(overview, 'cpu_percent', lambda percent: f'{percent:.0f} %')}")
    sys.stdout.flush()


def _figure(overview: Mapping[str, Any], name: str, shown: Any) -> str:
    """Show a figure with its age, or why there is none."""
    value, age = overview[name], overview["ages"].get(name) or {}
    if value is None:
        return f"unknown ({age.get('reason') or 'not measured yet'})"
    seconds = age.get("age_seconds")
    return str(shown(value)) + (f" ({seconds:.0f} s old)" if seconds is not None else "")


def _states(health: Mapping[str, Any]) -> dict[str, str]:
    return {name: component["status"] for name, component in health["components"].items()}
