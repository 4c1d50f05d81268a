"""The factory of clients: few, made once, closed at the end, without holding the loop."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spotd.aws.clients import Clients
from spotd.aws.limits import RetryBudget
from spotd.aws.session import Aws
from spotd.aws.tls import SharedTls
from spotd.config import AwsConfig
from tests.aws.conftest import HandClock
from tests.aws.fakes import FakeAws, identity


def factory(**changes: object) -> Clients:
    """Return a factory with an endpoint that nobody listens on."""
    settings = {"profile": None, "endpoint_url": "http://127.0.0.1:9", "endpoints": {}, **changes}
    return Clients(timeouts=(1.0, 1.0), connections=4, retries=RetryBudget(), **settings)  # type: ignore[arg-type]  # a test's


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    """A factory, closed afterwards."""
    async with factory(endpoints={"sqs": "http://127.0.0.1:9/own"}) as made:
        yield made


async def test_many_who_ask_at_once_get_one_client(clients: Clients) -> None:
    """A client is made for a service and a region, once."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(clients.get("sts", "eu-west-1")) for _ in range(20)]
    assert len({id(each.result()) for each in asked}) == 1


async def test_one_service_may_have_an_endpoint_of_its_own(clients: Clients) -> None:
    """`aws.endpoints.<service>` wins over `aws.endpoint_url`."""
    sqs, sts = await clients.get("sqs", "eu-west-1"), await clients.get("sts", "eu-west-1")
    assert (sqs.meta.endpoint_url, sts.meta.endpoint_url) == ("http://127.0.0.1:9/own", "http://127.0.0.1:9")


async def test_a_long_poll_may_take_longer_than_other_answers(clients: Clients) -> None:
    """SQS holds an empty receive for 20 s by itself."""
    sqs, sts = await clients.get("sqs", "eu-west-1"), await clients.get("sts", "eu-west-1")
    assert (sqs.meta.config.read_timeout, sts.meta.config.read_timeout) == (30.0, 1.0)


async def test_a_new_service_is_read_beside_the_loop(clients: Clients) -> None:
    """EC2's description has megabytes; while it is read and the client made, the loop goes on."""
    longest, done = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        await clients.get("ec2", "eu-west-1")
        done.set()
    assert longest < 0.1


async def test_all_clients_share_one_tls_context() -> None:
    """A hundred clients read the certificate authorities once."""
    tls = SharedTls()
    made = [tls.session_class(timeout=(1, 1)) for _ in range(3)]
    connectors = [each._create_connector(None) for each in made]
    assert len({id(each._ssl) for each in connectors}) == 1
    assert connectors[0]._ssl.verify_mode is ssl.CERT_REQUIRED
    unchecked = tls.session_class(timeout=(1, 1), verify=False)._create_connector(None)
    assert unchecked._ssl is False
    for each in (*connectors, unchecked):
        await each.close()


async def test_without_an_override_each_call_goes_to_its_region() -> None:
    """STS too: never the global endpoint."""
    async with factory(endpoint_url=None) as clients:
        urls = [(await clients.get(service, "eu-west-1")).meta.endpoint_url for service in ("ec2", "sts")]
    assert urls == ["https://ec2.eu-west-1.amazonaws.com", "https://sts.eu-west-1.amazonaws.com"]


async def test_the_daemons_identity_is_its_profile(
    fake: FakeAws, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`aws.profile` names it; AWS's own file holds the keys."""
    shared = tmp_path / "credentials"
    shared.write_text("[spotd]\naws_access_key_id = PROFILE\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    fake.on("GetCallerIdentity", identity("999999999999"))
    async with Aws(AwsConfig(endpoint_url=fake.endpoint, profile="spotd"), clock) as aws:
        await aws.own().call("sts", "us-east-1", "GetCallerIdentity")
    assert [each.access_key for each in fake.seen] == ["PROFILE"]


async def test_awss_own_endpoint_variables_are_honoured(
    fake: FakeAws, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulator needs nothing of spotd's configuration."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    fake.on("GetCallerIdentity", identity("999999999999"))
    async with Aws(AwsConfig(), clock) as aws:
        await aws.own().call("sts", "us-east-1", "GetCallerIdentity")
    assert [each.access_key for each in fake.seen] == ["ENVIRONMENT"]
