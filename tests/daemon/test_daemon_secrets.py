"""No secret leaves a running daemon: every place it writes to or answers at is read and searched."""

import io
import json
import re
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from spotd.sim.process import SimulatedAws
from tests.daemon.conftest import Start
from tests.daemon.running import Spotd, quoted
from tests.servers import PostgresServer, until

AddFault = Callable[..., object]
STREAMS = ("/stream", "/stream/sse")
CIPHERTEXT = r"spotd1\.[0-9a-f]{8}\.[\w=-]{20,}"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def made_up(seed: int) -> dict[str, str]:
    """Return secrets that nobody knows, as a client may send them by mistake."""
    rng = Random(seed)
    return {
        "wrong key id": "AKIA" + "".join(rng.choices(ALPHABET[:26], k=16)),
        "wrong secret": "aB3/" + "".join(rng.choices(ALPHABET, k=36)),
        "session token": "FwoGZXIvYXdzE" + "".join(rng.choices(ALPHABET, k=200)),
    }


def known(daemon: Spotd, aws: SimulatedAws, store_url: str) -> dict[str, str]:
    """Return the secrets that the daemon was given or made."""
    owners = {"keys": aws.accounts[0], "own": aws.daemon}
    secrets = {f"{name} secret": owner.secret_access_key for name, owner in owners.items()}
    secrets |= {f"{name} id": owner.access_key_id for name, owner in owners.items()}
    secrets["admin token"] = (daemon.state / "admin.token").read_text().strip()
    for number, word in enumerate(re.findall(r"[\w+/=-]{32,}", (daemon.state / "master.key").read_text())):
        secrets[f"master key {number}"] = word
    if password := urlsplit(store_url).password:
        secrets["database password"] = password
    return secrets


def provoke(daemon: Spotd, aws: SimulatedAws, faults: AddFault, lost: dict[str, str]) -> None:
    """Make everything fail that takes a secret, with the secret in what AWS answers."""
    told = "not authorized: key {wrong key id}, SecretAccessKey={wrong secret}, SessionToken={session token}"
    daemon.connect_keys(aws.accounts[1], access_key_id=lost["wrong key id"], secret_access_key=lost["wrong secret"])
    daemon.post("connect", {"connection_method": "access_keys", "secret_access_key": [lost["wrong secret"]]})
    daemon.ask("GET", "overview", headers={"Authorization": f"Bearer {lost['session token']}"})
    faults(
        operation="DescribeInstances", region="us-west-2", code="UnauthorizedOperation", status=403,
        message=told.format(**lost),
    )  # fmt: skip
    faults(service="elbv2", code="AccessDenied", status=403, message=told.format(**lost))
    daemon.connect_keys(aws.accounts[0])
    daemon.connect_role(aws, aws.accounts[1])


def answers(daemon: Spotd) -> Iterator[tuple[str, str]]:
    """Ask everything that the API's own document says can be read, as JSON and as CSV."""
    paths = daemon.get("openapi.json").body["paths"]
    ids = {"account": [row["account_id"] for row in daemon.items("accounts")]}
    for path in (path for path, methods in paths.items() if "get" in methods and not path.endswith(STREAMS)):
        for name in re.findall(r"{(\w+)}", path) or [""]:
            known_ids = ids.get(name) or [str(row["id"]) for row in _listed(daemon, path)]
            for value in known_ids or [""]:
                asked = path.replace(f"{{{name}}}", value)
                for accept in ("application/json", "text/csv"):
                    yield f"GET {asked} as {accept}", daemon.get(asked, Accept=accept).text


def _listed(daemon: Spotd, path: str) -> list[dict[str, object]]:
    collection = path.partition("/{")[0]
    return daemon.items(collection)[:5] if "{" in path else []


def rows(store_url: str, postgres: PostgresServer | None) -> str:
    """Return every row for people and every account's own words about itself, read past the daemon."""
    questions = ("SELECT * FROM system_logs", "SELECT metadata FROM accounts")
    if postgres is not None:
        return "".join(postgres.sql(question, store_url.rpartition("/")[2]) for question in questions)
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:"))) as db:
        return "".join(str(db.execute(question).fetchall()) for question in questions)


def bundled(daemon: Spotd) -> Iterator[tuple[str, str]]:
    """Return what `doctor --bundle` printed and each file in the bundle."""
    target = daemon.home / "bundle.tar.gz"
    done = daemon.run("doctor", "--bundle", target)
    yield "doctor's output", done.stdout + done.stderr
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as bundle:
        for member in bundle.getmembers():
            file = bundle.extractfile(member)
            assert file is not None
            yield f"bundle's {member.name}", file.read().decode()


def places(daemon: Spotd, store_url: str, postgres: PostgresServer | None) -> Iterator[tuple[str, str]]:
    """Return all that a person, a program or a support case may come to read."""
    yield from answers(daemon)
    yield from bundled(daemon)
    shown = daemon.run("config", "show")
    yield "config show", shown.stdout + shown.stderr
    if postgres is None:
        made = daemon.run("backup", daemon.home / "copy.db")
        yield "what backup says", made.stdout + made.stderr
    yield "system_logs and metadata", rows(store_url, postgres)
    yield "log", daemon.log


@pytest.fixture
def postgres(request: pytest.FixtureRequest, store_url: str) -> PostgresServer | None:
    """The server behind the store, if there is one."""
    return request.getfixturevalue("postgres_server") if store_url.startswith("postgres") else None


@pytest.fixture(params=["json", "console"])
def daemon(request: pytest.FixtureRequest, start: Start) -> Spotd:
    """A daemon that logs everything, in each form."""
    return start({"log.level": quoted("debug"), "log.format": quoted(request.param), "health.interval": "1"})


def test_no_secret_is_anywhere(
    daemon: Spotd, postgres: PostgresServer | None, simulator: SimulatedAws, faults: AddFault, store_url: str
) -> None:
    """Logs at debug level, answers, metrics, rows, bundle: none holds a key, token, password, address or ciphertext."""
    lost = made_up(seed=7)
    secrets = known(daemon, simulator, store_url) | lost
    token = daemon.post("tokens", {"name": "canary", "scopes": ["read"]}).body
    secrets["api token"] = token["token"]
    provoke(daemon, simulator, faults, lost)
    daemon.until_active(*simulator.accounts)
    if postgres is not None:
        postgres.stop()
        until(lambda: daemon.get("/readyz").status == 503, "the outage is not seen")
        postgres.start()
        until(daemon.answers, "it does not become ready")
    daemon.check()

    searched = dict(places(daemon, store_url, postgres))

    leaks = [
        f"{name} in {place}" for place, text in searched.items() for name, value in secrets.items() if value in text
    ]
    leaks += [f"ciphertext in {place}" for place, text in searched.items() if re.search(CIPHERTEXT, text)]
    assert leaks == []
    assert len(searched) > 40
    assert any("UnauthorizedOperation" in text for text in searched.values()), "what was provoked is told nowhere"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_no_file_of_the_database_holds_a_secret_in_clear(
    running: Spotd, simulator: SimulatedAws, store_url: str
) -> None:
    """Database, -wal and a backup hold credentials as ciphertext only, and neither token nor master key."""
    created = running.post("tokens", {"name": "canary", "scopes": ["read"]}).body
    running.connect_keys(simulator.accounts[0])
    running.until_active(simulator.accounts[0])
    copy = running.home / "copy.db"
    assert running.run("backup", copy).returncode == 0

    database = Path(store_url.removeprefix("sqlite:"))
    secrets = known(running, simulator, store_url) | {"api token": created["token"]}
    files = [*database.parent.glob(f"{database.name}*"), copy]
    leaks = [f"{name} in {file.name}" for file in files for name, value in secrets.items() if _holds(file, value)]

    assert {file.name for file in files} >= {database.name, f"{database.name}-wal"}
    assert leaks == []


def _holds(file: Path, text: str) -> bool:
    raw = file.read_bytes()
    return text.encode() in raw or json.dumps(text).encode() in raw
