"""Client commands: what they ask, what they print, and how they end."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from spotd.cli import market
from spotd.model.instance import Lifecycle, State
from tests.cli.conftest import Command, FakeDaemon

HEALTH = {
    "status": "healthy",
    "components": {
        "database": {"status": "healthy", "enabled": True, "details": {}, "since": "2026-11-23T20:00:00Z",
                     "checked_at": "2026-11-23T21:00:00Z"},
    },
}  # fmt: skip
OVERVIEW = {
    "counts": {"accounts": 2, "instances": 240, "by_state": {"running": 230}, "by_lifecycle": {"spot": 60}},
    "cost_micros_per_hour": 12_345_678,
    "cost_micros_per_month": 9_012_345_000,
    "cpu_percent": None,
    "ages": {
        "cost_micros_per_hour": {"age_seconds": 12.0, "reason": None},
        "cpu_percent": {"age_seconds": None, "reason": "no CPU was read yet"},
    },
}
INSTANCE = {
    "instance_id": "i-0123456789abcdef0", "account_id": "123456789012", "region": "eu-west-1",
    "availability_zone": "eu-west-1a", "instance_type": "m5.large", "lifecycle": "on-demand", "state": "running",
    "asg_name": None, "cluster": None, "managed": True, "tags": {"Name": "=evil()\x1b[31m\tweb"},
}  # fmt: skip


def account(status: str) -> dict[str, Any]:
    return {"id": 1, "account_id": "123456789012", "name": "one", "status": status, "regions": ["eu-west-1"]}


def test_status_tells_figures_with_their_age_and_missing_ones_with_their_reason(
    ask: Command, daemon: FakeDaemon
) -> None:
    """What is not known yet is never shown as zero."""
    daemon.answer("GET", "/health", HEALTH)
    daemon.answer("GET", "/overview", OVERVIEW)

    ran = ask("status")

    assert ran.code == 0
    assert "$12.3457 (12 s old) an hour" in ran.out
    assert "unknown (no CPU was read yet)" in ran.out
    assert "240 (230 running, 60 Spot)" in ran.out


@pytest.mark.parametrize("command_name", ["status", "health"])
def test_a_degraded_daemon_ends_with_5(ask: Command, daemon: FakeDaemon, command_name: str) -> None:
    """Scripts see from the exit code that something is wrong."""
    daemon.answer("GET", "/health", {**HEALTH, "status": "critical"})
    daemon.answer("GET", "/overview", OVERVIEW)

    assert ask(command_name).code == 5
    assert ask(command_name, "-o", "json").json["status"] == "critical"


def test_nobody_there_ends_with_3(command: Command, tmp_path: Path) -> None:
    """The error says where nobody answers, why, and what to do."""
    config = tmp_path / "c.toml"
    config.write_text(f"state_dir = '{tmp_path}'\n")

    ran = command("status", "--config", config)

    assert ran.code == 3
    assert "no daemon answers at unix:" in ran.err
    assert "fix: start it with `spotd run`" in ran.err


@pytest.mark.parametrize(
    ("status", "code"), [(401, 4), (403, 4), (404, 7), (409, 6), (422, 1), (429, 75), (500, 1), (503, 75)]
)
def test_a_refusal_becomes_an_exit_code(ask: Command, daemon: FakeDaemon, status: int, code: int) -> None:
    """A problem's detail and each field's own are told."""
    problem = {"title": "No", "detail": "not like this", "errors": [{"pointer": "/limit", "detail": "too many"}]}
    daemon.answer("GET", "/accounts", problem, status)

    ran = ask("accounts", "list")

    assert ran.code == code
    assert "error: not like this" in ran.err
    assert "/limit: too many" in ran.err


def test_a_problem_of_one_field_is_told_once(ask: Command, daemon: FakeDaemon) -> None:
    """Where the field's words are the problem's, they are not repeated."""
    problem = {"detail": "too short", "errors": [{"pointer": "/account_id", "detail": "too short"}]}
    daemon.answer("POST", "/accounts", problem, 422)

    assert ask("accounts", "add", "12", "--name", "x").err == "error: /account_id: too short\n"


def test_trying_again_is_advised_only_where_it_may_help(ask: Command, daemon: FakeDaemon) -> None:
    """A gateway's 502 may pass; one that the daemon calls not retryable does not, and is an ordinary failure."""
    daemon.answer("GET", "/accounts", {"detail": "the daemon has no AWS identity", "retryable": False}, 502)
    settled = ask("accounts", "list")
    daemon.answer("GET", "/accounts", {"detail": "no answer in time", "retryable": True}, 502)
    passing = ask("accounts", "list")

    assert (settled.code, passing.code) == (1, 75)
    assert "try again" not in settled.err
    assert "try again" in passing.err


def test_states_and_lifecycles_are_the_models_own() -> None:
    """The choices that a command offers are those the daemon knows."""
    assert tuple(State) == market.STATES
    assert tuple(Lifecycle) == market.LIFECYCLES


def test_an_answer_that_is_no_problem_document_is_told_too(ask: Command, daemon: FakeDaemon) -> None:
    """A proxy in between may answer anything."""
    daemon.answer("GET", "/accounts", ["?"], 418)

    assert "status 418" in ask("accounts", "list").err


def test_a_listing_is_tab_separated_in_a_pipe(ask: Command, daemon: FakeDaemon) -> None:
    """One line a row, whatever characters a tag holds."""
    daemon.answer("GET", "/instances", {"items": [INSTANCE], "next_cursor": None})

    heading, row = ask("instances").out.splitlines()

    assert heading.split("\t")[:3] == ["INSTANCE", "ACCOUNT", "ZONE"]
    assert row.split("\t") == [
        "i-0123456789abcdef0", "123456789012", "eu-west-1a", "m5.large", "on-demand", "running", "yes", "", "",
        "=evil() [31m web",
    ]  # fmt: skip


def test_a_listing_as_json_is_the_apis_own_document(ask: Command, daemon: FakeDaemon) -> None:
    """Programs get items and next_cursor, unchanged."""
    document = {"items": [INSTANCE], "next_cursor": "abc"}
    daemon.answer("GET", "/instances", document)

    assert ask("instances", "-o", "json").json == document


def test_a_listing_as_csv_keeps_formulas_from_running(ask: Command, daemon: FakeDaemon) -> None:
    """A name that begins like a formula is quoted as text; numbers stay numbers."""
    daemon.answer("GET", "/prices", {"items": [{"az": "=1+1", "spot_micros": -5}], "next_cursor": None})

    assert list(csv.reader(io.StringIO(ask("prices", "-o", "csv").out))) == [["az", "spot_micros"], ["'=1+1", "-5"]]


def test_filters_and_pages_become_the_query(ask: Command, daemon: FakeDaemon) -> None:
    """Only what was given is asked for."""
    daemon.answer("GET", "/instances", {"items": [], "next_cursor": None})

    ask("instances", "--region", "eu-west-1", "--tag", "a=b c", "--tag", "d", "--limit", "7", "--cursor", "x")

    assert daemon.requests[0][1] == "/instances?region=eu-west-1&tag=a%3Db+c&tag=d&limit=7&cursor=x"


def test_all_follows_the_pages(ask: Command, daemon: FakeDaemon) -> None:
    """Every page is read, and the whole printed as one."""
    daemon.answer("GET", "/instances?limit=1000", {"items": [INSTANCE], "next_cursor": "2"})
    daemon.answer("GET", "/instances?limit=1000&cursor=2", {"items": [INSTANCE], "next_cursor": None})

    page = ask("instances", "--all", "-o", "json").json

    assert len(page["items"]) == 2
    assert page["next_cursor"] is None


def test_adding_an_account_tells_what_comes_next(ask: Command, daemon: FakeDaemon) -> None:
    """The ExternalId and the next two commands are printed."""
    daemon.answer("POST", "/accounts", {**account("pending"), "external_id": "spotd-abc", "policies": {}}, 201)

    ran = ask("accounts", "add", "123456789012", "--name", "one", "--region", "eu-west-1")

    assert daemon.requests[0][2] == {"account_id": "123456789012", "name": "one", "regions": ["eu-west-1"]}
    assert "spotd-abc" in ran.out
    assert "spotd accounts connect 123456789012 --role-arn ARN" in ran.out


def test_a_secret_comes_from_a_file(ask: Command, daemon: FakeDaemon, tmp_path: Path) -> None:
    """It never stands on the command line, nor in what is printed."""
    daemon.answer("POST", "/connect", {"status": "connected"})
    (tmp_path / "secret").write_text("wJalrXUtnFEMI\n")

    ran = ask(
        "accounts", "connect", "123456789012", "--name", "one", "--access-key-id", "AKIA", "--secret-file",
        tmp_path / "secret",
    )  # fmt: skip

    assert ran.code == 0
    assert daemon.requests[0][2] == {
        "account_id": "123456789012", "name": "one", "regions": [], "connection_method": "access_keys",
        "access_key_id": "AKIA", "secret_access_key": "wJalrXUtnFEMI",
    }  # fmt: skip
    assert "wJalrXUtnFEMI" not in ran.out + ran.err


def test_a_role_is_connected_by_its_arn(ask: Command, daemon: FakeDaemon) -> None:
    """The account is named with it, so that a role of another account is refused."""
    daemon.answer("POST", "/connect", {"status": "connected"})

    ask("accounts", "connect", "123456789012", "--role-arn", "arn:aws:iam::123456789012:role/spotd")

    assert daemon.requests[0][2] == {
        "account_id": "123456789012",
        "connection_method": "iam_role",
        "role_arn": "arn:aws:iam::123456789012:role/spotd",
    }


def test_credentials_must_be_of_one_kind(ask: Command) -> None:
    """Neither or both is a usage error."""
    assert ask("accounts", "connect", "123456789012").code == 2
    assert ask("accounts", "connect", "123456789012", "--role-arn", "a", "--access-key-id", "b").code == 2


@pytest.mark.parametrize(
    ("status", "request_line"),
    [("failed", ("POST", "/connect")), ("active", ("PUT", "/accounts/1/credentials"))],
)
def test_reconnecting_keeps_the_status_of_a_working_account(
    ask: Command, daemon: FakeDaemon, status: str, request_line: tuple[str, str]
) -> None:
    """A failed account is connected anew, an active one only gets new credentials."""
    daemon.answer("GET", "/accounts/1", account(status))
    daemon.answer(*request_line, {"status": "connected"})

    assert ask("accounts", "reconnect", "1", "--role-arn", "arn:aws:iam::123456789012:role/spotd").code == 0
    assert daemon.requests[-1][:2] == request_line


def test_removing_needs_a_yes(ask: Command, daemon: FakeDaemon) -> None:
    """Without a terminal nothing is asked and nothing removed."""
    daemon.answer("DELETE", "/accounts/1", None, 204)

    assert ask("accounts", "remove", "1").code == 2
    assert daemon.requests == []
    assert ask("accounts", "remove", "1", "--yes").code == 0
    assert daemon.requests[0][:2] == ("DELETE", "/accounts/1")


def test_verifying_tells_by_its_exit_code(ask: Command, daemon: FakeDaemon) -> None:
    """Credentials that AWS does not take end with 1."""
    daemon.answer("POST", "/accounts/1/verify", {"valid": False, "reason": "AccessDenied", "message": "no"})

    ran = ask("accounts", "verify", "1")

    assert (ran.code, "AccessDenied" in ran.out) == (1, True)


def test_policies_are_printed_in_the_wanted_form(ask: Command, daemon: FakeDaemon) -> None:
    """A template is printed as it is, to be redirected into a file."""
    documents = {"trust": {"a": 1}, "permissions": {}, "cloudformation": "Resources: {}", "terraform": "resource"}
    daemon.answer("GET", "/accounts/1/policies", documents)

    assert ask("accounts", "policy", "1", "--format", "cloudformation").out == "Resources: {}\n"
    assert ask("accounts", "policy", "1").json == {"trust": {"a": 1}, "permissions": {}}


def test_a_token_is_printed_alone(ask: Command, daemon: FakeDaemon) -> None:
    """A script can take it from the output."""
    daemon.answer("POST", "/tokens", {"id": 1, "token": "spotd_abc"}, 201)

    ran = ask("token", "create", "grafana", "--scope", "read", "--scope", "events", "--days", "30")

    assert ran.out == "spotd_abc\n"
    body = daemon.requests[0][2]
    assert (body["name"], body["scopes"], body["expires_at"][-6:]) == ("grafana", ["read", "events"], "+00:00")


def test_a_recommendation_is_explained_in_sentences(ask: Command, daemon: FakeDaemon) -> None:
    """Each reason names its value, its limit, its source and its age."""
    place = {"instance_type": "m5.large", "availability_zone": "eu-west-1a", "lifecycle": "on-demand"}
    reason = {"rule": "interruption_band", "value": 1, "threshold": 3, "source": "spot-advisor", "age_seconds": 60.0}
    price = {**reason, "rule": "spot_price", "value": 30_000, "threshold": None}
    daemon.answer(
        "GET",
        "/recommendations/5",
        {
            "id": 5, "kind": "single", "account_id": "123456789012", "instance_ids": ["i-0"], "verdict": "recommended",
            "from": {**place, "micros_per_hour": 96_000}, "to": {**place, "lifecycle": "spot", "micros_per_hour": 30_000},
            "saving_micros_per_month": 48_180_000, "reasons": [reason, price],
        },
    )  # fmt: skip

    out = ask("recommend", "explain", "5").out

    assert "m5.large on-demand in eu-west-1a at $0.096 an hour" in out
    assert "saves:  $48.18 a month, gross" in out
    assert "interruption band: 1 (limit 3), from spot-advisor, 60 s old" in out
    assert "spot price: $0.03, from" in out


def test_tail_prints_each_event_once(ask: Command, daemon: FakeDaemon) -> None:
    """Every news of events makes it read again; what was shown is not repeated; other news are passed over."""
    event = {"received_at": "2026-11-23T21:00:00Z", "kind": "rebalance", "outcome": "accepted", "instance_ids": ["i-0"]}
    daemon.answer("GET", "/events", {"items": [{**event, "key": "b"}, {**event, "key": "a"}], "next_cursor": None})
    messages = [
        {"type": "hello"},
        {"type": "changed", "topic": "prices"},
        {"type": "changed", "topic": "events.received"},
    ]
    daemon.stream = [f"id: 1\ndata: {json.dumps(message)}\n\n".encode() for message in messages] + [b": alive\n\n"]

    ran = ask("events", "tail", "-o", "json")

    assert [json.loads(line)["key"] for line in ran.out.splitlines()] == ["a", "b"]
    assert [path for _, path, _ in daemon.requests].count("/events?limit=100") == 2
    assert ran.code == 3


def test_address_and_token_come_from_the_environment(process: Command, daemon: FakeDaemon) -> None:
    """`SPOTD_URL` names another daemon, `SPOTD_TOKEN` says who asks."""
    daemon.answer("GET", "/accounts", {"items": [], "next_cursor": None})

    ran = process(
        "accounts", "list", "-o", "json", SPOTD_URL=f"http://127.0.0.1:{daemon.port}", SPOTD_TOKEN="spotd_abc"
    )

    assert ran.json == {"items": [], "next_cursor": None}
    assert daemon.headers[0]["Authorization"] == "Bearer spotd_abc"
