"""Commands that need no daemon: configuration, keys, database, recorded events and answers."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from spotd import crypto
from spotd.clock import SystemClock
from spotd.crypto import KeyRing
from spotd.model.account import ConnectionMethod
from spotd.store import accounts, meta
from spotd.store.db import open_database
from spotd.store.lock import exclusive
from spotd.store.schema import migrate
from tests.cli.conftest import Command

NOTICE = {
    "version": "0", "id": "12345678-1234-1234-1234-123456789012", "source": "aws.ec2", "account": "123456789012",
    "detail-type": "EC2 Spot Instance Interruption Warning", "time": "2026-11-23T21:00:00Z", "region": "us-east-2",
    "resources": [], "detail": {"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"},
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state is in the test's own directory."""
    file = tmp_path / "config.toml"
    file.write_text(f"state_dir = '{tmp_path / 'state'}'\n")
    return file


async def database(config: Path, ring: KeyRing, *, keys: int = 3) -> None:
    """Make a database with some sealed credentials."""
    state = config.parent / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    clock = SystemClock()
    db = await open_database(f"sqlite:{state}/spotd.db")
    await migrate(db, now=clock.now())
    await meta.put(db, "canary", ring.canary())
    for number in range(keys):
        account = await accounts.create_pending(
            db, account_id=f"{number:012}", name="x", external_id=None, now=clock.now()
        )
        sealed = {
            field: ring.seal(b"text", context=f"accounts/{account.id}/{field}")
            for field in ("access_key_id", "secret_access_key")
        }
        await accounts.set_connection(db, account.id, method=ConnectionMethod.ACCESS_KEYS, secrets=sealed)
    await db.close()


def test_a_valid_configuration(command: Command, config: Path) -> None:
    """Its file and its state directory are named."""
    ran = command("check-config", "--config", config)

    assert ran.code == 0
    assert str(config) in ran.out


def test_a_bad_configuration_ends_with_78(command: Command, config: Path) -> None:
    """Everything wrong is told, with a suggestion."""
    config.write_text("[api]\nprot = 1\nport = -1\n")

    ran = command("check-config", "--config", config)

    assert ran.code == 78
    assert "did you mean api.port?" in ran.err
    assert "\n       api.port: must be between" in ran.err, "each problem stands below the first"


def test_a_signing_secret_others_can_read_is_bad_configuration(command: Command, config: Path, tmp_path: Path) -> None:
    """The files that the configuration names are checked too."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    config.write_text(config.read_text() + f"[events]\nsigning_secret_file = '{secret}'\n")

    ran = command("check-config", "--config", config)

    assert ran.code == 78
    assert "chmod 0600" in ran.err


def test_the_configuration_is_shown_with_its_origins_and_without_passwords(process: Command, config: Path) -> None:
    """Each option names its source; a connection string keeps its host only."""
    ran = process(
        "config", "show", "--origin", "--config", config, "-o", "json", SPOTD__STORE__URL="postgresql://u:hunter2@h/d"
    )

    shown = {item["option"]: item for item in ran.json["items"]}
    assert shown["store.url"]["origin"] == "SPOTD__STORE__URL"
    assert shown["state_dir"]["origin"] == str(config)
    assert shown["api.port"] == {"option": "api.port", "value": 8680, "origin": "default"}
    assert "hunter2" not in ran.out


def test_a_key_is_generated_once(command: Command, config: Path) -> None:
    """An existing key is never overwritten: the second time ends with 6."""
    key = config.parent / "state" / "master.key"

    first, content = command("keys", "generate", "--config", config), key.read_bytes()
    second = command("keys", "generate", "--config", config)

    assert (first.code, second.code) == (0, 6)
    assert key.stat().st_mode & 0o777 == 0o400
    assert key.read_bytes() == content
    assert content.decode().strip() not in first.out


def test_a_missing_configuration_writes_nothing(command: Command, tmp_path: Path) -> None:
    """Ends with 78."""
    assert command("keys", "generate", "--config", tmp_path / "none.toml").code == 78
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["verify", "rotate"])
def test_without_a_database_there_is_nothing_to_open(command: Command, config: Path, task: str) -> None:
    """The key is left as it is, and no empty database is made."""
    key = crypto.create_key_file(config.parent / "state")
    content = key.read_bytes()

    ran = command("keys", task, "--config", config)

    assert ran.code == 7
    assert "there is no database yet" in ran.err
    assert key.read_bytes() == content
    assert not (config.parent / "state" / "spotd.db").exists()


@pytest.mark.parametrize("task", ["verify", "rotate"])
def test_an_empty_database_holds_nothing_to_open(command: Command, config: Path, task: str) -> None:
    """A database without tables is one that no daemon has started on."""
    key = crypto.create_key_file(config.parent / "state")
    (config.parent / "state" / "spotd.db").touch()

    ran = command("keys", task, "--config", config)

    assert ran.code == 7
    assert len(KeyRing.load(key).key_ids) == 1


def test_a_backup_of_nothing_says_how_to_name_the_daemon(command: Command, config: Path, tmp_path: Path) -> None:
    """`backup` reads the database itself, so it needs the daemon's configuration and not its address."""
    ran = command("backup", tmp_path / "copy.db", "--config", config)

    assert ran.code == 7
    assert "--config" in ran.err


async def test_rotation_seals_everything_anew(process: Command, config: Path) -> None:
    """Afterwards only the new key is kept, and it opens all; the old one opens nothing."""
    old = KeyRing.load(crypto.create_key_file(config.parent / "state"))
    await database(config, old)

    rotated = process("keys", "rotate", "--config", config)

    new = KeyRing.load(config.parent / "state" / "master.key")
    assert rotated.code == 0
    assert len(new.key_ids) == 1
    assert new.newest != old.newest
    assert process("keys", "verify", "--config", config).code == 0


async def test_an_interrupted_rotation_goes_on(process: Command, config: Path) -> None:
    """A ring with two keys means that one was under way: no third is made."""
    state = config.parent / "state"
    ring = KeyRing.load(crypto.create_key_file(state)).rotated()
    await database(config, ring)
    crypto.replace_key_file(state / "master.key", ring)

    assert process("keys", "rotate", "--config", config).code == 0
    assert KeyRing.load(state / "master.key").key_ids == (ring.newest,)


async def test_the_wrong_key_ends_with_78(process: Command, config: Path) -> None:
    """Verification sees it by the canary."""
    crypto.create_key_file(config.parent / "state")
    await database(config, KeyRing.generate())

    assert process("keys", "verify", "--config", config).code == 78


def test_migrate_applies_once(command: Command, config: Path) -> None:
    """`--check` says what is owed and ends with 1 while there is something."""
    owed = command("migrate", "--check", "--config", config)
    applied = command("migrate", "--config", config)

    assert (owed.code, applied.code) == (1, 0)
    assert "to apply: 0001" in owed.out
    assert "applied: 0001" in applied.out
    assert command("migrate", "--check", "--config", config).code == 0


@pytest.mark.parametrize("arguments", [["migrate"], ["keys", "rotate"], ["restore", "backup.db"]])
def test_a_running_daemon_keeps_its_database(command: Command, config: Path, arguments: list[str]) -> None:
    """What needs it stopped ends with 6 and names the process."""
    state = config.parent / "state"
    state.mkdir()
    with exclusive(state / "spotd.db"):
        ran = command(*arguments, "--config", config)

    assert ran.code == 6
    assert str(os.getpid()) in ran.err


def test_a_backup_can_be_restored(command: Command, config: Path, tmp_path: Path) -> None:
    """A backup file is its owner's only; a restore moves the epoch on."""
    command("migrate", "--config", config)

    made = command("backup", tmp_path / "backup.db", "--config", config, "-o", "json")
    restored = command("restore", tmp_path / "backup.db", "--config", config)

    assert (made.code, restored.code) == (0, 0)
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600
    assert f"epoch {made.json['epoch'] + 1}" in restored.out
    assert command("backup", tmp_path / "backup.db", "--config", config).code == 6


def test_events_are_read_from_files(command: Command, tmp_path: Path) -> None:
    """Each file's events get the outcome the daemon would give them; broken JSON is quarantined with its reason."""
    good, broken, unknown = tmp_path / "good.json", tmp_path / "broken.json", tmp_path / "unknown.json"
    good.write_text(json.dumps([NOTICE, NOTICE]))
    broken.write_bytes(b"{\xff")
    unknown.write_text(json.dumps({"source": "a", "detail-type": "b"}))

    page = command("events", "parse", good, broken, unknown, "-o", "json").json

    assert [item["outcome"] for item in page["items"]] == ["accepted", "accepted", "quarantined", "unknown"]
    assert page["items"][0].keys() == {"file", "key", "outcome", "kind", "instance_ids", "reason"}
    assert page["items"][0]["instance_ids"] == ["i-1234567890abcdef0"]
    assert page["items"][2]["reason"]
    assert page["next_cursor"] is None


def test_age_is_judged_only_when_asked(command: Command, tmp_path: Path) -> None:
    """`--now` makes an old notice stale; a time without a zone is a usage error."""
    file = tmp_path / "notice.json"
    file.write_text(json.dumps(NOTICE))

    [item] = command("events", "parse", file, "--now", "2027-01-01T00:00:00Z", "-o", "json").json["items"]

    assert item["outcome"] == "stale"
    assert command("events", "parse", file, "--now", "2027-01-01T00:00:00").code == 2
    assert command("events", "parse", file, "--now", "soon").code == 2
    assert command("events", "parse", tmp_path / "none.json").code == 1


def test_recorded_answers_are_read_from_files(command: Command, tmp_path: Path) -> None:
    """Rows understood and fields refused are told; what is no JSON is refused, never a traceback."""
    instance = {"InstanceId": "i-1234567890abcdef0", "InstanceType": "m5.large", "State": {"Name": "running"}}
    good, broken = tmp_path / "good.json", tmp_path / "broken.json"
    good.write_text(json.dumps({"Reservations": [{"OwnerId": "123456789012", "Instances": [instance]}]}))
    broken.write_bytes(b"\x00\xff")

    ran = command("doctor", "parse", "DescribeInstances", good, broken, "-o", "json")

    first, second = ran.json["items"]
    assert ran.code == 0
    assert first.keys() == {"file", "operation", "rows", "understood", "refused"}
    assert (first["operation"], first["rows"]) == ("DescribeInstances", 1)
    assert second["refused"][0].keys() == {"pointer", "detail"}


def test_doctor_looks_without_a_daemon(process: Command, config: Path, tmp_path: Path) -> None:
    """Each look says what it found; what failed decides the exit code; the bundle holds no secret."""
    config.write_text(
        config.read_text() + "[aws]\nendpoint_url = 'http://127.0.0.1:9'\nconnect_timeout = 0.2\nrequest_timeout = 1\n"
    )
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "SPOTD__EVENTS__REDIS_URL": "redis://:hunter2@127.0.0.1:6379",
    }  # fmt: skip
    bundle = tmp_path / "bundle.tar.gz"

    ran = process("doctor", "--config", config, "-o", "json", "--bundle", bundle, **environ)

    found = {item["check"]: item["result"] for item in ran.json["items"]}
    assert ran.code == 1
    assert found == {
        "state directory": "warning", "master key": "warning", "database": "warning", "AWS identity": "failed",
        "daemon": "failed",
    }  # fmt: skip
    with tarfile.open(bundle) as archive:
        text = b"".join(file.read() for member in archive if (file := archive.extractfile(member))).decode()
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert '"store.url"' in text
    assert "hunter2" not in text + ran.out
    assert "wJalrXUtnFEMI" not in text + ran.out
