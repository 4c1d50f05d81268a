"""Bad input, sent to a running daemon as a client sends it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spotd.sim.process import SimulatedAccount, SimulatedAws
from tests.daemon.running import Answer, Spotd
from tests.servers import until

AddFault = Callable[..., object]

TAGS = {
    "astral": "🦄🏴‍☠️ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "right to left": "שלום \u202eabc",
    "combining": "e\u0301\u200b\u0300",
    "markup": "<script>&amp;\"'",
    "spreadsheet": "=1+1",
    "sql": "'; DROP TABLE instances; --",
    "": "no key",
    "key 🗝️": "",
    "long": "x" * 10_000,
}


def pointers(answer: Answer) -> list[str]:
    return [error["pointer"] for error in answer.body["errors"]]


@pytest.fixture
def told(simulator: SimulatedAws) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Make the simulated AWS tell some fields of an instance otherwise, until the test ends."""
    changed: list[str] = []

    def override(instance_id: str, fields: dict[str, Any]) -> None:
        changed.append(instance_id)
        simulator.control("override", {"instance_id": instance_id, "fields": fields})

    yield override
    for instance_id in changed:
        simulator.control("override", {"instance_id": instance_id, "fields": {}})


@pytest.fixture
def first(simulator: SimulatedAws) -> SimulatedAccount:
    return simulator.accounts[0]


@pytest.fixture
def other(simulator: SimulatedAws) -> SimulatedAccount:
    return simulator.accounts[1]


def test_refused_credentials_leave_the_other_accounts_alone(
    running: Spotd, simulator: SimulatedAws, first: SimulatedAccount, other: SimulatedAccount
) -> None:
    """Wrong keys, another account's keys, a careless role, a malformed ARN, an unknown region: 422 each, and no row."""
    assert running.connect_keys(first).status == 200

    for bad, pointer in (
        ({"secret_access_key": "w" * 40}, "/access_key_id"),
        ({"access_key_id": "AKIA" + "Z" * 16}, "/access_key_id"),
        ({"access_key_id": first.access_key_id, "secret_access_key": first.secret_access_key}, "/access_key_id"),
        ({"regions": ["eu-west-9"]}, "/regions"),
    ):
        answer = running.connect_keys(other, **bad)
        assert (answer.status, pointers(answer)) == (422, [pointer]), answer
    malformed = running.post("connect", {"connection_method": "iam_role", "role_arn": "arn:aws:iam::12:role/x"})
    assert (malformed.status, pointers(malformed)) == (422, ["/role_arn"])
    assert set(running.statuses()) == {first.account_id}

    running.until_active(first)
    assert running.connect_keys(other).status == 200
    running.until_active(first, other)


def test_a_role_that_ignores_its_external_id_is_refused_until_it_does_not(
    running: Spotd, simulator: SimulatedAws, other: SimulatedAccount
) -> None:
    """The row stays pending and says nothing of a connection; the right role connects the same row."""
    running.post("accounts", {"account_id": other.account_id, "name": "careful"})

    careless = running.post("connect", {"connection_method": "iam_role", "role_arn": other.open_role_arn})

    assert (careless.status, careless.body["code"]) == (422, "role_ignores_external_id")
    assert pointers(careless) == ["/role_arn"]
    [row] = running.items("accounts")
    assert (row["status"], row["connection_method"]) == ("pending", None)

    external_id = running.get(f"accounts/{row['id']}").body["external_id"]
    simulator.control("trust", {"role_arn": other.role_arn, "external_id": external_id})
    assert running.post("connect", {"connection_method": "iam_role", "role_arn": other.role_arn}).status == 200
    running.until_active(other)
    assert [account["id"] for account in running.items("accounts")] == [row["id"]]


def test_an_account_without_instances_becomes_active(running: Spotd, simulator: SimulatedAws) -> None:
    """Nothing found, completely, is a result; its overview is zero and not unknown."""
    assert running.connect_keys(simulator.daemon).status == 200

    running.until_active(simulator.daemon)

    overview = running.get("overview").body
    assert running.items("instances") == []
    assert overview["counts"]["instances"] == 0


def test_whatever_an_instance_is_called_is_stored_and_served(
    running: Spotd, first: SimulatedAccount, told: Callable[[str, dict[str, Any]], None]
) -> None:
    """Tags of any text and of 10,000 characters come out as they went in; absent optional fields are null."""
    running.connect_keys(first)
    running.until_active(first)
    named, bare = (one["instance_id"] for one in running.items("instances")[:2])
    told(named, {"Tags": [{"Key": key, "Value": value} for key, value in TAGS.items()]})
    optional = ("Tags", "PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId", "PlatformDetails", "EnaSupport",
                "BlockDeviceMappings", "IamInstanceProfile", "SecurityGroups", "CpuOptions")  # fmt: skip
    told(bare, dict.fromkeys(optional))

    assert running.post(f"accounts/{first.account_id}/discover").status == 202

    until(lambda: found(running, named)["tags"] == TAGS, "the tags do not arrive")
    until(lambda: found(running, bare)["tags"] == {}, "the bare instance is not read")
    assert running.statuses() == {first.account_id: "active"}
    assert "x" * 10_000 in running.get("instances?limit=1000", Accept="text/csv").text


def found(daemon: Spotd, instance_id: str) -> dict[str, Any]:
    return next(one for one in daemon.items("instances") if one["instance_id"] == instance_id)


def test_a_wrong_clock_is_named(running: Spotd, simulator: SimulatedAws, first: SimulatedAccount) -> None:
    """When AWS refuses a signature for its time the client reads about the clock; set right, the same call works."""
    simulator.control("clock", {"offset_seconds": 3600})
    skewed = running.connect_keys(first)

    assert skewed.status in {502, 503}
    assert "clock" in skewed.body["detail"]
    assert running.items("accounts") == []

    simulator.control("clock", {"offset_seconds": 0})
    assert running.connect_keys(first).status == 200
    running.until_active(first)


def test_an_account_whose_discovery_fails_leaves_the_other_alone(
    running: Spotd, simulator: SimulatedAws, first: SimulatedAccount, other: SimulatedAccount, faults: AddFault
) -> None:
    """Denied everywhere, one account fails and says why; the other becomes active meanwhile."""
    faults(operation="DescribeInstances", account_id=first.account_id, code="UnauthorizedOperation", status=403)
    running.connect_keys(first)
    running.connect_role(simulator, other)

    until(
        lambda: running.statuses() == {first.account_id: "failed", other.account_id: "active"},
        "one failed, one active",
    )
    [failed] = [account for account in running.items("accounts") if account["status"] == "failed"]
    assert "UnauthorizedOperation" in str(failed)
