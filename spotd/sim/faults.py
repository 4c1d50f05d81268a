"""Faults on demand: which calls they hit, and what they do to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from spotd.sim.errors import ServiceError
from spotd.sim.protocol import Call


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault. The first five fields choose calls (shell patterns, `*` is any).

    `code` with `status` and `message` answers an AWS error; `body` answers that text as it is. `latency` (seconds)
    delays; `hang` never answers; `drop` closes the connection; `truncate` is `connection` (the body breaks off) or
    `body` (half of it, as if whole). `times` limits how often, `skip` lets that many calls pass first.
    """

    service: str = "*"
    operation: str = "*"
    region: str = "*"
    account_id: str = "*"
    access_key_id: str = "*"
    code: str | None = None
    message: str = "simulated fault"
    status: int = 400
    body: str | None = None
    latency: float = 0.0
    hang: bool = False
    drop: bool = False
    truncate: str | None = None
    times: int | None = None
    skip: int = 0
    id: int = 0
    hits: int = 0

    def chooses(self, call: Call) -> bool:
        """Whether the call is one of those meant."""
        names = ("service", "operation", "region", "account_id", "access_key_id")
        return all(fnmatchcase(getattr(call, name), getattr(self, name)) for name in names)

    def refuse(self) -> None:
        """Raise the AWS error, if answering one is what the fault does."""
        if self.code is not None:
            raise ServiceError(self.code, self.message, self.status)


@dataclass(slots=True)
class Faults:
    """The faults in force."""

    active: list[Fault] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, facts: Mapping[str, Any]) -> Fault:
        """Put a fault in force; raises ValueError on an unknown field."""
        known = {item.name for item in fields(Fault)} - {"id", "hits"}
        unknown = sorted(set(facts) - known)
        if unknown:
            raise ValueError(f"unknown fields {unknown}; known are {sorted(known)}")
        fault = Fault(**facts, id=next(self._ids))
        self.active.append(fault)
        return fault

    def remove(self, fault_id: int | None) -> int:
        """Lift one fault, or all; how many were lifted."""
        kept = [fault for fault in self.active if fault_id is not None and fault.id != fault_id]
        lifted = len(self.active) - len(kept)
        self.active = kept
        return lifted

    def strike(self, call: Call) -> Fault | None:
        """The first fault in force for a call, counted; None when it goes through."""
        for fault in self.active:
            if not fault.chooses(call):
                continue
            fault.hits += 1
            if fault.hits > fault.skip and (fault.times is None or fault.hits - fault.skip <= fault.times):
                return fault
        return None
