"""Logging: formats, libraries, rows for the store, and above all no secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from spotd import log
from spotd.log import REDACTED, Row

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    before, level = set(root.handlers), root.level
    yield
    for handler in set(root.handlers) - before:
        if type(handler).__module__.startswith("spotd"):
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_where_there_is_no_terminal() -> None:
    """One object a line, with level, time and the component from the event's name."""
    stream = io.StringIO()
    log.configure(stream=stream)

    structlog.get_logger().info("discovery.region_failed", region="eu-west-1", any="ünï")
    structlog.get_logger().debug("discovery.noise")

    [line] = lines(stream)
    assert line["component"] == "discovery"
    assert line["level"] == "info"
    assert line["region"] == "eu-west-1"
    assert line["timestamp"].endswith("Z")
    assert "ünï" in stream.getvalue()


def test_console_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person reads lines, in colour unless NO_COLOR is set."""
    coloured, plain = Terminal(), Terminal()
    log.configure(stream=coloured)
    structlog.get_logger().info("a.b", x=1)
    monkeypatch.setenv("NO_COLOR", "1")
    log.configure(stream=plain)
    structlog.get_logger().info("a.b", x=1)

    assert "\x1b[" in coloured.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "x=1" in plain.getvalue()


def test_libraries_go_the_same_way() -> None:
    """A library's warning is a line of ours, redacted; its chatter is not written even at debug."""
    stream = io.StringIO()
    log.configure("debug", stream=stream)

    logging.getLogger("botocore.auth").debug("CanonicalRequest %s", SECRET)
    logging.getLogger("aiohttp.access").warning("password=%s", "hunter2")
    logging.getLogger("other").log(25, "odd %s", "level")

    first, second = lines(stream)
    assert first["component"] == "aiohttp"
    assert "hunter2" not in stream.getvalue()
    assert (second["level"], second["event"]) == ("info", "odd level")


def test_warnings_reach_the_sink() -> None:
    """From warning on each line is handed on as a row, redacted, until the sink is detached."""
    rows: list[Row] = []
    logs = log.configure(stream=io.StringIO(), sink=rows.append)

    structlog.get_logger().info("a.fine")
    structlog.get_logger().warning("aws.denied", component="health_monitor", token="abc", region="eu-west-1")
    logs.detach()
    structlog.get_logger().error("a.lost")
    logs.attach(rows.append)
    structlog.get_logger().error("b.kept")

    assert [(row.component, row.level, row.message) for row in rows] == [
        ("health_monitor", "warning", "aws.denied"),
        ("b", "error", "b.kept"),
    ]
    assert rows[0].details == {"token": REDACTED, "region": "eu-west-1"}
    assert rows[0].timestamp.tzinfo is not None


def test_exceptions_are_redacted_with_their_causes() -> None:
    """A traceback's texts lose their secrets."""
    stream = io.StringIO()
    log.configure(stream=stream)

    error = RuntimeError(f"SecretAccessKey={SECRET}")
    error.__cause__ = OSError("postgresql://spotd:hunter2@db/spotd refused")
    structlog.get_logger().error("a.b", exc_info=error)

    assert "RuntimeError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET Bearer abc.def-123", f"GET Bearer {REDACTED}"),
        ("key AKIAIOSFODNN7EXAMPLE used", f"key {REDACTED} used"),
        ("postgresql://u:p@ss/w@h/db", f"postgresql://u:{REDACTED}@h/db"),
        ("redis://:pw@h", f"redis://:{REDACTED}@h"),
        ('{"SessionToken": "a b", "x": 1}', f'{{"SessionToken": {REDACTED}, "x": 1}}'),
        ("<SecretAccessKey>abc</SecretAccessKey>", f"<SecretAccessKey>{REDACTED}</SecretAccessKey>"),
        ("X-Amz-Signature=0a1b&X=1", f"X-Amz-Signature={REDACTED}&X=1"),
        (f"it is {SECRET}!", f"it is {REDACTED}!"),
        ("spotd1.0123abcd.AAAA-_==", REDACTED),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", REDACTED),
    ],
)
def test_secrets_inside_text(text: str, left: str) -> None:
    """Each shape a secret has in text is hidden, what is around it stays."""
    assert log.redact_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:role/spotd",
        "i-0123456789abcdef0 in eu-west-1a",
        "http://127.0.0.1:8680/api/v1/accounts",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "2026-11-23T21:00:00.000000Z",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Names, addresses, digests and times are left alone."""
    assert log.redact_text(text) == text


SECRET_NAMES = st.sampled_from(
    ["secret_access_key", "SessionToken", "password", "Authorization", "ciphertext", "SecretAccessKey", "api_token"]
)
SECRETS = st.text(st.characters(codec="ascii", categories=["Lu", "Ll", "Nd"]), min_size=12, max_size=40)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
NESTED = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@given(secret=SECRETS, name=SECRET_NAMES, wrap=st.lists(st.sampled_from("ldtesxobj"), max_size=6), noise=NESTED)
def test_no_secret_survives_however_deep(secret: str, name: str, wrap: list[str], noise: object) -> None:
    """A secret under its name, in text, in bytes or behind a `repr`, nested anyhow, is in no line and no row."""
    value: object = {name: secret, "noise": noise}
    for kind in wrap:
        value = WRAPPINGS[kind](value, name, secret)
    stream, rows = io.StringIO(), list[Row]()
    log.configure(stream=stream, sink=rows.append)

    structlog.get_logger().warning("some.event", value=value, text=f"{name}={secret}")

    assert secret not in stream.getvalue()
    assert secret not in str(rows)


class Carrier:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Carrier({self.text})"


WRAPPINGS: dict[str, Any] = {
    "l": lambda value, name, secret: [value],
    "d": lambda value, name, secret: {"inner": value},
    "t": lambda value, name, secret: (value, 1),
    "e": lambda value, name, secret: [value, ValueError(f"{name}: {secret}")],
    "s": lambda value, name, secret: [value, f'{{"{name}": "{secret}"}}'],
    "x": lambda value, name, secret: [value, f"<{name}>{secret}</{name}>".encode()],
    "o": lambda value, name, secret: [value, Carrier(f"{name}='{secret}'")],
    "b": lambda value, name, secret: [value, f"postgresql://spotd:{secret}@127.0.0.1/spotd"],
    "j": lambda value, name, secret: [value, json.dumps(json.dumps({name: secret}))],
}
