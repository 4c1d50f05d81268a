"""A fake AWS, and the real edge that talks to it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from spotd.aws.credentials import KeyCredentials
from spotd.aws.session import AccountSession, Aws
from spotd.config import AwsConfig
from spotd.model.account import AccessKeys
from tests.aws.fakes import FakeAws, fake_aws

ACCOUNT = "111111111111"


class HandClock:
    """A wall clock that a test moves by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time

    def forward(self, **by: float) -> None:
        """Move on, by `timedelta`'s names."""
        self.time += timedelta(**by)


@pytest.fixture
def clock() -> HandClock:
    """A wall clock that stands still."""
    return HandClock()


@pytest.fixture
async def fake() -> AsyncIterator[FakeAws]:
    """A fake AWS that answers nothing yet."""
    async with fake_aws() as server:
        yield server


@pytest.fixture
async def aws(fake: FakeAws, clock: HandClock) -> AsyncIterator[Aws]:
    """The edge, with the fake for every service, and a key pair as the daemon's own identity."""
    config = AwsConfig(endpoint_url=fake.endpoint, connect_timeout=1.0, request_timeout=1.0, rate_share=1.0)
    own = KeyCredentials(AccessKeys(access_key_id="OWN", secret_access_key="own-secret"))
    async with Aws(config, clock, own=own) as edge:
        yield edge


@pytest.fixture
def keys() -> Callable[[str], AccessKeys]:
    """Make the key pair of an account: its access key id is `AK` and the account id."""
    return lambda account_id: AccessKeys(access_key_id=f"AK{account_id}", secret_access_key=f"secret-{account_id}")


@pytest.fixture
def session(aws: Aws, keys: Callable[[str], AccessKeys]) -> AccountSession:
    """A session of account 111111111111, by key pair."""
    return aws.session_for(ACCOUNT, keys(ACCOUNT))
