"""Component health: the three states other programs read, and a component's report."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct


class ComponentState(StrEnum):
    """How well a component does; worse compares greater through `severity`."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"

    @property
    def severity(self) -> int:
        """0 healthy, 1 degraded, 2 critical."""
        return list(ComponentState).index(self)


class Reading(Struct, frozen=True, kw_only=True):
    """What one check measured, before history is applied."""

    status: ComponentState
    enabled: bool = True
    details: Mapping[str, Any] = {}


class ComponentHealth(Struct, frozen=True, kw_only=True):
    """One component in `/health`: `since` is when this status began, `checked_at` the last check."""

    status: ComponentState
    enabled: bool
    details: Mapping[str, Any]
    since: datetime
    checked_at: datetime
