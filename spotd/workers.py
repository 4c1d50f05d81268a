"""The workers by the names their users know, for a Python shell.

Each call opens store and AWS from the configuration and closes them again; inside the daemon the loops have theirs.
The configuration is the file that `$SPOTD_CONFIG` names, and the environment.

    >>> from spotd.workers import run_initial_discovery
    >>> await run_initial_discovery(account_id=1)
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from spotd.app import built, opened
from spotd.aws.session import AccountSession
from spotd.config import Config, load
from spotd.loops.discovery import Listing
from spotd.loops.events import EventConsumer
from spotd.loops.health import HealthMonitor, run_all_health_checks
from spotd.loops.optimizer import Optimizer, OptimizerResult
from spotd.loops.prices import PricesResult
from spotd.loops.scan import scan_ec2_instances
from spotd.model.account import Account
from spotd.model.event import Verdict
from spotd.store import accounts
from spotd.store.db import Database

__all__ = [
    "EventConsumer",
    "HealthMonitor",
    "Optimizer",
    "configured",
    "get_account",
    "get_session_for_account",
    "open_store",
    "process_events",
    "run_all_health_checks",
    "run_initial_discovery",
    "run_optimizer",
    "scan_ec2_instances",
    "scrape_prices",
    "trigger_rediscovery",
]


def configured() -> Config:
    """Return the configuration of the file `$SPOTD_CONFIG` names and the environment; raises ConfigError."""
    path = os.environ.get("SPOTD_CONFIG")
    return load(Path(path) if path else None, os.environ)


async def run_initial_discovery(account_id: int) -> None:
    """Discover a connected account completely; `account_id` is `accounts.id`. See `Discovery`."""
    async with built(configured()) as daemon:
        await daemon.discovery.run_initial_discovery(account_id)


async def trigger_rediscovery(account_id: int) -> Listing:
    """Scan every region of an active account again; `account_id` is `accounts.id`. Raises Conflict unless active."""
    async with built(configured()) as daemon:
        return await daemon.discovery.trigger_rediscovery(account_id)


@asynccontextmanager
async def get_session_for_account(account: Account) -> AsyncIterator[AccountSession]:
    """Open a session that signs as this account, for the block."""
    async with built(configured()) as daemon:
        yield await daemon.discovery.get_session_for_account(account)


@asynccontextmanager
async def open_store() -> AsyncIterator[Database]:
    """Open the configured database, for the block."""
    async with opened(configured()) as base:
        yield base.db


async def get_account(db: Database, account_id: int) -> Account:
    """Return an account by `accounts.id`; raises NotFound."""
    return await accounts.get(db, account_id)


async def scrape_prices() -> PricesResult:
    """Read every source of prices that is due, once."""
    async with built(configured()) as daemon:
        return await daemon.prices.tick()


async def run_optimizer() -> OptimizerResult:
    """Recommend for every active account, once."""
    async with built(configured()) as daemon:
        return await daemon.optimizer.tick()


async def process_events(raw: bytes | str) -> list[Verdict]:
    """Take one body of events in, durably, act on what was understood, and return a verdict per event."""
    async with built(configured()) as daemon:
        verdicts = await daemon.events.ingest(raw, "shell")
        await daemon.events.handle()
        return verdicts
