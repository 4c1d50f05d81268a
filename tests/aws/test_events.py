import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws.events import MAX_BYTES, MAX_DEPTH, REGISTRY, parse, read
from spotd.model.event import Outcome, Verdict

TIME = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INSTANCE = "i-0123456789abcdef0"


def warning(**changes: Any) -> dict[str, Any]:
    event = {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-03-01T12:00:00Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1b:instance/{INSTANCE}"],
        "detail": {"instance-id": INSTANCE, "instance-action": "terminate"},
    }
    return {key: value for key, value in (event | changes).items() if value is not ...}


def state_change(**detail: Any) -> dict[str, Any]:
    return warning(**{"detail-type": "EC2 Instance State-change Notification", "detail": detail})


def only(raw: object, **options: Any) -> Any:
    (verdict,) = parse(raw, **options)
    return verdict


def test_interruption() -> None:
    """A warning is accepted with its key, time, action and instance; the zone in its ARN is not mistaken for a region."""
    verdict = only(json.dumps(warning()).encode())
    event = verdict.event

    assert (verdict.outcome, verdict.kind) == (Outcome.ACCEPTED, "interruption")
    assert verdict.key == f"7bf73129-1428-4cd3-a780-95db273d1602/{INSTANCE}"
    assert verdict.instance_ids == (INSTANCE,)
    assert (event.account_id, event.region, event.action, event.time) == (
        "123456789012",
        "us-east-1",
        "terminate",
        TIME,
    )


def test_state_change() -> None:
    """A state change carries the new state."""
    assert only(state_change(**{"instance-id": "i-abcd1111", "state": "stopped"})).event.state == "stopped"


def test_rebalance() -> None:
    """A rebalance recommendation needs no more than its instance."""
    raw = warning(**{"detail-type": "EC2 Instance Rebalance Recommendation", "detail": {"instance-id": INSTANCE}})
    assert only(raw).kind == "rebalance"


def test_version_is_not_looked_at() -> None:
    """A new envelope version of a known pair is read all the same."""
    assert only(warning(version="9")).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": ...}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "a\0b"}, "/id"),
        ({"time": ...}, "/time"),
        ({"time": "yyyy-mm-ddThh:mm:ssZ"}, "/time"),
        ({"time": "2026-02-31T00:00:00Z"}, "/time"),
        ({"time": "2026-03-01T12:00:00"}, "/time"),
        ({"time": "0001-01-01T00:00:00+23:59"}, "/time"),
        ({"account": "account id"}, "/account"),
        ({"account": 123456789012}, "/account"),
        ({"account": "١٢٣٤٥٦٧٨٩٠١٢"}, "/account"),
        ({"region": "us-east-1b"}, "/region"),
        ({"detail": ...}, "/detail"),
        ({"detail": "terminate"}, "/detail"),
        ({"detail": {"instance-action": "terminate"}}, "/detail/instance-id"),
        ({"detail": {"instance-id": "<instance-id>", "instance-action": "stop"}}, "/detail/instance-id"),
        ({"detail": {"instance-id": f" {INSTANCE}", "instance-action": "stop"}}, "/detail/instance-id"),
        ({"detail": {"instance-id": f"{INSTANCE}\n", "instance-action": "stop"}}, "/detail/instance-id"),
        ({"detail": {"instance-id": [INSTANCE], "instance-action": "stop"}}, "/detail/instance-id"),
        ({"detail": {"instance-id": INSTANCE}}, "/detail/instance-action"),
        ({"detail": {"instance-id": INSTANCE, "instance-action": "action"}}, "/detail/instance-action"),
        ({"detail": {"instance-id": INSTANCE, "instance-action": {}}}, "/detail/instance-action"),
    ],
)
def test_a_bad_field_of_a_known_kind_is_quarantined(changes: dict[str, Any], pointer: str) -> None:
    """A required field that is missing or malformed quarantines the event and is named; nothing of it can be acted on."""
    verdict = only(warning(**changes))

    assert (verdict.outcome, verdict.kind, verdict.event, verdict.instance_ids) == (
        Outcome.QUARANTINED,
        "interruption",
        None,
        (),
    )
    assert verdict.reason.startswith(f"{pointer}: ")


@pytest.mark.parametrize("state", [..., None, "", "rebooting", 16])
def test_a_state_change_needs_an_ec2_state(state: object) -> None:
    """An empty, missing or unheard-of state is quarantined."""
    detail = {"instance-id": INSTANCE, "state": state}
    verdict = only(state_change(**{key: value for key, value in detail.items() if value is not ...}))

    assert verdict.outcome is Outcome.QUARANTINED
    assert verdict.reason.startswith("/detail/state: ")


@pytest.mark.parametrize("account", [..., None, ""])
def test_an_event_without_an_account_is_accepted_with_a_reason(account: object) -> None:
    """An event that names no account is kept, and says that it is not acted on."""
    verdict = only(warning(account=account))

    assert (verdict.outcome, verdict.event.account_id) == (Outcome.ACCEPTED, None)
    assert "no account" in verdict.reason


def test_unknown_pair() -> None:
    """A pair without a parser is unknown, whatever else is missing, and keeps what its envelope tells."""
    verdict = only({"source": "aws.health", "detail-type": "AWS Health Event", "id": "a-1", "account": "nobody"})

    assert (verdict.outcome, verdict.key, verdict.kind) == (Outcome.UNKNOWN, "a-1", None)
    assert (verdict.event.source, verdict.event.account_id) == ("aws.health", None)
    assert only({"source": "", "detail-type": ""}).outcome is Outcome.UNKNOWN


def test_unknown_without_an_id_has_a_key_of_its_body() -> None:
    """Equal unknown bodies share a key, different ones do not, and no database refuses what is kept of them."""
    one, two, again = (only({"source": "x\0", "detail-type": "y", "n": n}) for n in (1, 2, 1))

    assert one.key == again.key != two.key
    assert "\0" not in one.event.source


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"7",
        b'"text"',
        b"[[{}]]",
        b"{}",
        b'{"source": 1, "detail-type": "x"}',
        b'{"source": "aws.ec2"}',
        b'{"source": "aws.ec2", "detail-type": null}',
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
        b'{"n": NaN}',
        b'{"n": 1e999}',
        b'"' + b"x" * MAX_BYTES + b'"',
        '{"source": "\ud800"}',
    ],
    ids=range(17),
)
def test_what_is_no_event_is_quarantined(raw: object) -> None:
    """Anything that is not an object with a source and a detail-type is one quarantined body."""
    assert only(raw).outcome is Outcome.QUARANTINED


def test_array() -> None:
    """An array is read event by event, one bad element harming no other."""
    verdicts = parse(json.dumps([warning(), 3, {"source": "a", "detail-type": "b"}]))

    assert [verdict.outcome for verdict in verdicts] == [Outcome.ACCEPTED, Outcome.QUARANTINED, Outcome.UNKNOWN]
    assert parse(b"[]") == ()


def test_sns_envelope() -> None:
    """An event that came through SNS is taken out of its envelope, from arrays too, and through two topics."""
    envelope = {"Type": "Notification", "Message": json.dumps(warning())}

    assert only(envelope) == only(warning())
    assert only([envelope]) == only(warning())
    assert only({"Message": json.dumps(envelope)}) == only(warning())
    assert only({"Message": json.dumps([warning()])}) == only(warning())


@pytest.mark.parametrize("message", ["not JSON", "7", "", None, {}])
def test_an_envelope_without_an_event_is_quarantined(message: object) -> None:
    """An envelope around something else is quarantined as it stands."""
    (read_message,) = read({"Message": message})

    assert read_message.verdict.outcome is Outcome.QUARANTINED
    assert read_message.body.startswith('{"Message"')


@pytest.mark.parametrize(
    ("seconds", "outcome"), [(120, Outcome.ACCEPTED), (121, Outcome.STALE), (-60, Outcome.ACCEPTED)]
)
def test_a_warning_older_than_two_minutes_is_stale(seconds: int, outcome: Outcome) -> None:
    """A notice is of use for two minutes of its own time; a sender's clock ahead of ours does no harm."""
    verdict = only(warning(), now=TIME + timedelta(seconds=seconds))

    assert verdict.outcome is outcome
    assert verdict.event.instance_ids == (INSTANCE,)


def test_without_now_nothing_is_stale() -> None:
    """Without a time to compare with, age is not judged."""
    assert only(warning(time="1970-01-01T00:00:00Z")).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("detail_type", ["spotd.canary", "account.status", "discovery.completed", "health.transition"])
def test_own_kinds(detail_type: str) -> None:
    """The daemon's own events are known, and need no account."""
    verdict = only(warning(**{"source": "spotd", "detail-type": detail_type, "detail": {}, "account": ...}))
    assert (verdict.outcome, verdict.kind, verdict.reason) == (Outcome.ACCEPTED, detail_type, None)


def test_each_message_keeps_its_own_json() -> None:
    """The inbox gets each event's own JSON, which reads as the same verdict again."""
    for message in read([warning(), {"source": "a", "detail-type": "b"}]):
        assert only(message.body) == message.verdict


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
envelopes = st.builds(
    lambda pair, fields: {"source": pair[0], "detail-type": pair[1]} | fields,
    st.sampled_from(sorted(REGISTRY)),
    st.fixed_dictionaries(
        {},
        optional={
            "id": json_values | st.just("7bf73129"),
            "time": json_values | st.just("2026-03-01T12:00:00Z") | st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
            "account": json_values | st.just("123456789012"),
            "region": json_values | st.just("eu-west-1"),
            "detail": json_values
            | st.dictionaries(
                st.sampled_from(["instance-id", "instance-action", "state"]),
                json_values | st.sampled_from([INSTANCE, "terminate", "running"]),
            ),
            "Message": json_values,
        },
    ),
)


@given(json_values | envelopes | st.lists(envelopes, max_size=3) | st.binary() | st.text())
def test_no_input_raises(raw: object) -> None:
    """Whatever arrives, each part of it gets one of the outcomes; only an understood one names instances."""
    for verdict in parse(raw, now=TIME):
        assert isinstance(verdict, Verdict)
        assert verdict.key
        assert verdict.outcome in {Outcome.ACCEPTED, Outcome.STALE} or not verdict.instance_ids
        assert (verdict.reason is None) <= (verdict.outcome is Outcome.ACCEPTED)


@given(json_values | envelopes)
def test_decoded_and_encoded_input_read_alike(value: object) -> None:
    """A body's text and its decoded value get the same verdicts."""
    text = json.dumps(value)
    try:
        decoded = json.loads(text.encode())
    except ValueError:  # a lone surrogate does not travel
        return
    if "NaN" not in text and "Infinity" not in text and "\\ud" not in text:
        assert [verdict.outcome for verdict in parse(text)] == [verdict.outcome for verdict in parse(decoded)]


UNDERSTOOD = {"ec2-instance-state-change-notification-1.json"}
KNOWN = {detail_type for _, detail_type in REGISTRY}


def test_the_recorded_samples(data: Path) -> None:
    """Each recorded sample is understood, unknown or quarantined by the rules, and only whole ones name instances."""
    folder = data / "events"
    with (folder / "index.csv").open() as index:
        names = [row["file"] for row in csv.DictReader(index)]

    for name in names:
        raw = (folder / name).read_bytes()
        document = json.loads(raw)
        item = document[0] if isinstance(document, list) else document
        (verdict,) = parse(raw)
        if name in UNDERSTOOD:
            expected = Outcome.ACCEPTED
        elif "source" not in item or item["detail-type"] in KNOWN:
            expected = Outcome.QUARANTINED
        else:
            expected = Outcome.UNKNOWN
        assert verdict.outcome is expected, (name, verdict)
        assert bool(verdict.instance_ids) == (expected is Outcome.ACCEPTED)
