"""A scraper's world."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from spotd.aws.credentials import KeyCredentials
from spotd.aws.session import Aws
from spotd.changes import Changes
from spotd.config import AwsConfig
from spotd.model.account import AccessKeys
from spotd.store.db import open_database
from spotd.store.schema import migrate
from tests.aws.fakes import fake_aws
from tests.loops.prices.markets import FakeMarket
from tests.loops.prices.worlds import HandClock, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A fake AWS with a market, an empty store, and the real edge between them."""
    clock, market = HandClock(), FakeMarket()
    own = KeyCredentials(AccessKeys(access_key_id="OWN", secret_access_key="own-secret"))
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(fake_aws())
        market.serve(fake)
        config = AwsConfig(endpoint_url=fake.endpoint, connect_timeout=1.0, request_timeout=2.0, rate_share=1.0)
        db = await open_database(f"sqlite:{tmp_path / 'spotd.db'}")
        stack.push_async_callback(db.close)
        await migrate(db, now=clock.now())
        yield World(
            db=db,
            aws=await stack.enter_async_context(Aws(config, clock, own=own)),
            http=await stack.enter_async_context(aiohttp.ClientSession()),
            fake=fake,
            market=market,
            clock=clock,
            changes=Changes(clock=clock),
        )
