"""Accounts over HTTP, on both engines, in front of a fake AWS."""

import json
from typing import Any

import pytest

from spotd.changes import Change
from tests.api.conftest import ACCOUNT, OTHER, Stage, accepting_keys, guarding_role, refusing_keys
from tests.aws.fakes import query_refusal

ROLE = f"arn:aws:iam::{ACCOUNT}:role/spotd-discover"
KEYS = {
    "connection_method": "access_keys",
    "account_id": ACCOUNT,
    "name": "production",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
BY_ROLE = {"connection_method": "iam_role", "role_arn": ROLE}


async def created(stage: Stage, account_id: str = ACCOUNT) -> dict[str, Any]:
    """Create a pending account and return the answer."""
    accepting_keys(stage.fake, account_id)
    reply = await stage.client.post("/api/v1/accounts", {"account_id": account_id, "name": "production"})
    assert reply.status == 201, reply
    body: dict[str, Any] = reply.body
    return body


async def status_of(stage: Stage, account_id: str = ACCOUNT) -> str:
    """Return the account's status, `absent` without a row."""
    reply = await stage.client.get(f"/api/v1/accounts/{account_id}")
    return str(reply.body["status"]) if reply.status == 200 else "absent"


async def test_creating_hands_out_what_the_owner_needs(stage: Stage) -> None:
    """A new account is pending, and comes with its ExternalId and policies that name it."""
    body = await created(stage)

    assert (body["account_id"], body["status"]) == (ACCOUNT, "pending")
    assert len(body["external_id"]) >= 32
    assert body["external_id"] in json.dumps(body["policies"]["trust"])
    assert body["external_id"] in body["policies"]["cloudformation"]
    assert body["external_id"] in body["policies"]["terraform"]


async def test_creating_works_while_the_daemon_has_no_identity(stage: Stage) -> None:
    """Without an AWS identity of its own the daemon still creates the account; the policies come later."""
    stage.fake.on("GetCallerIdentity", query_refusal("InvalidClientTokenId", status=403))
    reply = await stage.client.post("/api/v1/accounts", {"account_id": ACCOUNT, "name": "a"})

    assert (reply.status, reply.body["policies"]) == (201, None)
    assert (await stage.client.get(f"/api/v1/accounts/{ACCOUNT}/policies")).status == 502


async def test_account_id_is_claimed_once(stage: Stage) -> None:
    """A second claim of an AWS account id is a 409."""
    await created(stage)
    reply = await stage.client.post("/api/v1/accounts", {"account_id": ACCOUNT, "name": "again"})

    assert (reply.status, reply.body["code"]) == (409, "conflict")


@pytest.mark.parametrize("path", ["/connect", "/api/v1/connect"])
async def test_connecting_with_keys(stage: Stage, path: str) -> None:
    """Good keys connect an account nobody created before, wake discovery and say where the account is."""
    accepting_keys(stage.fake)
    reply = await stage.client.post(path, KEYS)
    account = await stage.client.get(reply.headers["Location"])

    assert (reply.status, reply.body) == (200, {"status": "connected"})
    assert (account.body["account_id"], account.body["status"]) == (ACCOUNT, "connected")
    assert account.body["connection_method"] == "access_keys"
    assert account.body["conditions"][0]["type"] == "CredentialsValid"
    assert len(stage.woken) == 1


async def test_bad_keys_leave_no_row(stage: Stage) -> None:
    """Keys that AWS refuses are a 422, and no account appears."""
    refusing_keys(stage.fake)
    reply = await stage.client.post("/connect", KEYS)

    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/access_key_id")
    assert await status_of(stage) == "absent"
    assert stage.woken == []


async def test_keys_of_another_account_are_refused(stage: Stage) -> None:
    """Keys that belong to another account than the one named are a 422."""
    accepting_keys(stage.fake, OTHER)
    reply = await stage.client.post("/connect", KEYS)

    assert reply.status == 422
    assert OTHER in reply.body["detail"]


async def test_throttled_validation_may_be_retried(stage: Stage) -> None:
    """When AWS is busy nothing is decided: 503, retryable, no row."""
    stage.fake.on("GetCallerIdentity", query_refusal("Throttling", "Rate exceeded"))
    reply = await stage.client.post("/connect", KEYS)

    assert (reply.status, reply.body["retryable"]) == (503, True)
    assert await status_of(stage) == "absent"


async def test_unknown_region_is_pointed_at(stage: Stage) -> None:
    """A region that AWS does not know is a 422 that names the field."""
    accepting_keys(stage.fake)
    reply = await stage.client.post("/connect", {**KEYS, "regions": ["us-east-9"]})

    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/regions")
    assert await status_of(stage) == "absent"


async def test_connecting_twice_is_a_conflict(stage: Stage) -> None:
    """A connected account is not connected again."""
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    reply = await stage.client.post("/connect", KEYS)

    assert (reply.status, reply.body["code"]) == (409, "conflict")


async def test_connecting_with_a_role(stage: Stage) -> None:
    """A role that opens with its ExternalId only connects the account of its ARN."""
    external_id = (await created(stage))["external_id"]
    guarding_role(stage.fake, external_id)
    reply = await stage.client.post("/connect", BY_ROLE)
    account = await stage.client.get(reply.headers["Location"])

    assert (reply.status, reply.body) == (200, {"status": "connected"})
    assert (account.body["connection_method"], account.body["role_arn"]) == ("iam_role", ROLE)


async def test_role_that_ignores_external_id_stays_pending(stage: Stage) -> None:
    """A role that lets anybody in is a 422, and the account stays pending."""
    await created(stage)
    guarding_role(stage.fake, None)
    reply = await stage.client.post("/connect", BY_ROLE)

    assert (reply.status, reply.body["code"]) == (422, "role_ignores_external_id")
    assert await status_of(stage) == "pending"


async def test_refused_role_stays_pending(stage: Stage) -> None:
    """A role that does not let the daemon in is a 422, and the account stays pending."""
    await created(stage)
    guarding_role(stage.fake, "another external id")
    reply = await stage.client.post("/connect", BY_ROLE)

    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/role_arn")
    assert await status_of(stage) == "pending"


@pytest.mark.parametrize("arn", ["x", "arn:aws:iam::1:role/a", f"arn:aws:iam::{ACCOUNT}:user/a", ROLE + "\n"])
async def test_malformed_arn_is_pointed_at(lite: Stage, arn: str) -> None:
    """An ARN that is none of a role is a 422 that names the field."""
    reply = await lite.client.post("/connect", {**BY_ROLE, "role_arn": arn})

    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/role_arn")


async def test_role_of_an_account_nobody_created(lite: Stage) -> None:
    """A role's account must have been created, because it needs the ExternalId made for it."""
    reply = await lite.client.post("/connect", BY_ROLE)

    assert reply.status == 422
    assert "POST /accounts" in reply.body["detail"]


async def test_role_and_account_must_agree(lite: Stage) -> None:
    """An account id beside a role's ARN must be the ARN's."""
    reply = await lite.client.post("/connect", {**BY_ROLE, "account_id": OTHER})

    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/account_id")


async def test_secret_is_nowhere_in_clear(stage: Stage) -> None:
    """What is stored of a key pair is ciphertext, and no answer holds it."""
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    rows = await stage.db.fetch("SELECT ciphertext FROM secrets")
    shown = json.dumps((await stage.client.get(f"/api/v1/accounts/{ACCOUNT}")).body)

    assert len(rows) == 2
    for text in (*(row["ciphertext"] for row in rows), shown):
        assert KEYS["secret_access_key"] not in text
        assert KEYS["access_key_id"] not in text


async def test_credentials_are_replaced(stage: Stage) -> None:
    """New credentials of the other method take over; the status stays and nothing of the old remains."""
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    external_id = (await stage.client.get(f"/api/v1/accounts/{ACCOUNT}")).body["external_id"]
    guarding_role(stage.fake, external_id)
    reply = await stage.client("PUT", f"/api/v1/accounts/{ACCOUNT}/credentials", json=BY_ROLE)

    assert (reply.status, reply.body["status"], reply.body["connection_method"]) == (200, "connected", "iam_role")
    assert await stage.db.fetch("SELECT 1 FROM secrets") == []


async def test_refused_credentials_keep_the_old(stage: Stage) -> None:
    """Credentials that AWS refuses change nothing."""
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    before = [row["ciphertext"] for row in await stage.db.fetch("SELECT ciphertext FROM secrets ORDER BY field")]
    refusing_keys(stage.fake)
    reply = await stage.client("PUT", f"/api/v1/accounts/{ACCOUNT}/credentials", json=KEYS)

    after = [row["ciphertext"] for row in await stage.db.fetch("SELECT ciphertext FROM secrets ORDER BY field")]
    assert (reply.status, after) == (422, before)


async def test_verifying_keeps_the_result_as_a_condition(stage: Stage) -> None:
    """Credentials that were lost show as a condition; the status stays."""
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    refusing_keys(stage.fake)
    reply = await stage.client.post(f"/api/v1/accounts/{ACCOUNT}/verify")
    account = (await stage.client.get(f"/api/v1/accounts/{ACCOUNT}")).body

    assert (reply.status, reply.body["valid"]) == (200, False)
    assert account["status"] == "connected"
    assert [(c["type"], c["status"]) for c in account["conditions"]] == [("CredentialsValid", False)]


async def test_account_by_either_id(stage: Stage) -> None:
    """Exactly twelve digits name the AWS account, another number ours; the answer has both."""
    made = await created(stage)
    by_aws = await stage.client.get(f"/api/v1/accounts/{ACCOUNT}")
    by_ours = await stage.client.get(f"/api/v1/accounts/{made['id']}")

    assert by_aws.body == by_ours.body
    assert (by_aws.body["id"], by_aws.body["account_id"]) == (made["id"], ACCOUNT)


@pytest.mark.parametrize("ref", ["999", OTHER, "abc", "-1", "9" * 30, "9" * 18, "%00", "１２", "1%2F2"])
async def test_unknown_account(lite: Stage, ref: str) -> None:
    """Whatever names no account is a 404."""
    assert (await lite.client.get(f"/api/v1/accounts/{ref}")).status == 404


async def test_discover(stage: Stage) -> None:
    """Discovery on demand is accepted for a connected account and a 409 for a pending one."""
    await created(stage)
    pending = await stage.client.post(f"/api/v1/accounts/{ACCOUNT}/discover")
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    connected = await stage.client.post(f"/api/v1/accounts/{ACCOUNT}/discover")

    assert (pending.status, connected.status) == (409, 202)
    assert stage.daemon.discovered == [ACCOUNT]


async def test_delete(stage: Stage) -> None:
    """A deleted account is gone with its secrets, and its AWS id can be claimed again."""
    accepting_keys(stage.fake)
    await stage.client.post("/connect", KEYS)
    reply = await stage.client("DELETE", f"/api/v1/accounts/{ACCOUNT}")

    assert (reply.status, reply.body) == (204, "")
    assert await stage.db.fetch("SELECT 1 FROM secrets") == []
    assert (await stage.client("DELETE", f"/api/v1/accounts/{ACCOUNT}")).status == 404
    assert (await stage.client.post("/connect", KEYS)).status == 200


async def test_accounts_are_paged(stage: Stage) -> None:
    """A list goes on at its cursor until there is none, each account once."""
    for number in range(5):
        await created(stage, f"{number:012}")
    seen, cursor = [], ""
    for _ in range(3):
        page = (await stage.client.get(f"/api/v1/accounts?limit=2{cursor}")).body
        seen += [item["account_id"] for item in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"

    assert seen == [f"{number:012}" for number in range(5)]
    assert page["next_cursor"] is None


async def test_accounts_as_csv(lite: Stage) -> None:
    """A list comes as CSV to who accepts that only; text that a spreadsheet would run is made harmless."""
    accepting_keys(lite.fake)
    await lite.client.post("/api/v1/accounts", {"account_id": ACCOUNT, "name": "=cmd()"})
    reply = await lite.client.get("/api/v1/accounts", headers={"Accept": "text/csv"})
    header, line = reply.body.splitlines()

    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert header.startswith("id,account_id,name,status")
    assert f"{ACCOUNT},'=cmd()" in line


async def test_unchanged_answer_is_not_sent_again(lite: Stage) -> None:
    """Who has the answer already gets a 304."""
    first = await lite.client.get("/api/v1/accounts")
    again = await lite.client.get("/api/v1/accounts", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status, again.body) == (304, "")


async def test_status_changes_are_announced(lite: Stage) -> None:
    """Creating, connecting and deleting are told to the stream."""
    changes = lite.daemon.changes.subscribe(after=0)
    await created(lite)
    await lite.client.post("/connect", KEYS)
    await lite.client("DELETE", f"/api/v1/accounts/{ACCOUNT}")
    told = [await anext(changes) for _ in range(3)]

    assert [change.facts["status"] for change in told if isinstance(change, Change)] == [
        "pending",
        "connected",
        "removed",
    ]
