"""Sealing: what opens, what must not, and how keys are found and kept."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd import crypto
from spotd.crypto import KeyRing, UnsafeFile
from spotd.errors import Conflict, WrongKey

CONTEXT = "accounts/12/secret_access_key"


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_is_sealed_opens_again(plaintext: bytes, context: str) -> None:
    """Any bytes in any context come back unchanged, and never appear in the token."""
    ring = KeyRing.generate()

    token = ring.seal(plaintext, context=context)

    assert ring.open(token, context=context) == plaintext
    assert token != ring.seal(plaintext, context=context)


@given(st.text(max_size=20), st.text(max_size=20))
def test_another_place_does_not_open(one: str, other: str) -> None:
    """A ciphertext copied to another row or column is refused."""
    ring = KeyRing.generate()
    token = ring.seal(b"secret", context=one)

    if one != other:
        with pytest.raises(WrongKey):
            ring.open(token, context=other)


def test_another_key_does_not_open() -> None:
    """The error names the key that is missing, and nothing secret."""
    token = KeyRing.generate().seal(b"secret", context=CONTEXT)

    with pytest.raises(WrongKey, match="not in the key ring"):
        KeyRing.generate().open(token, context=CONTEXT)


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=255))
def test_a_changed_token_does_not_open(position: int, flip: int) -> None:
    """Whatever byte of the sealed part is changed, the token is refused."""
    ring = KeyRing.generate()
    head, key_id, body = ring.seal(b"secret", context=CONTEXT).split(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[position % len(raw)] ^= flip

    with pytest.raises(WrongKey):
        ring.open(f"{head}.{key_id}.{base64.urlsafe_b64encode(raw).decode()}", context=CONTEXT)


@given(st.text(max_size=80))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    """Anything else answers WrongKey, never another error."""
    with pytest.raises(WrongKey):
        KeyRing.generate().open(text, context=CONTEXT)


def test_rotation_reseals_while_the_old_key_still_opens() -> None:
    """The newest key seals; old tokens open until they are resealed and the old key is dropped."""
    old = KeyRing.generate()
    token = old.seal(b"secret", context=CONTEXT)
    both = old.rotated()

    assert both.open(token, context=CONTEXT) == b"secret"
    assert not both.is_current(token)
    renewed = both.reseal(token, context=CONTEXT)
    assert both.is_current(renewed)
    assert both.reseal(renewed, context=CONTEXT) == renewed
    assert both.without_old().open(renewed, context=CONTEXT) == b"secret"
    with pytest.raises(WrongKey):
        both.without_old().open(token, context=CONTEXT)


def test_the_canary_tells_the_wrong_key() -> None:
    """A start with another key sees it before anything is opened."""
    ring = KeyRing.generate()

    ring.rotated().check_canary(ring.canary())
    with pytest.raises(WrongKey):
        KeyRing.generate().check_canary(ring.canary())


def test_a_ring_is_read_as_it_was_written() -> None:
    """Comments and blank lines are allowed; the newest key is the last one."""
    ring = KeyRing.generate().rotated()

    again = KeyRing.load(b"# master keys\n\n" + ring.dump())

    assert again.key_ids == ring.key_ids
    assert again.newest == ring.newest


@pytest.mark.parametrize("text", [b"", b"# none\n", b"short", base64.b64encode(b"x" * 31), b"\xff\xfe"])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    """An empty or malformed key file does not become a weak key."""
    with pytest.raises(WrongKey):
        KeyRing.load(text)


def test_no_key_in_the_representation() -> None:
    """A ring in a traceback or log shows its key ids only."""
    ring = KeyRing.generate()

    assert ring.dump().decode().strip() not in repr(ring)
    assert ring.newest in repr(ring)


def test_a_key_file_is_created_once(tmp_path: Path) -> None:
    """The file is 0400 in a directory of its owner, and a second call refuses to overwrite it."""
    state = tmp_path / "a" / "state"
    path = crypto.create_key_file(state)
    before = path.read_bytes()

    assert path == state / "master.key"
    assert (path.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o400, 0o700)
    with pytest.raises(Conflict, match="never overwritten"):
        crypto.create_key_file(state)
    assert path.read_bytes() == before
    assert [entry.name for entry in state.iterdir()] == ["master.key"]


def test_a_key_file_others_can_read_is_refused(tmp_path: Path) -> None:
    """The error names the chmod that repairs it."""
    path = crypto.create_key_file(tmp_path)
    path.chmod(0o440)

    with pytest.raises(UnsafeFile, match=f"chmod 0400 {path}"):
        KeyRing.load(path)


def test_replacing_keeps_mode_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A rotated ring takes the file's place as a whole."""
    path = crypto.create_key_file(tmp_path)
    ring = KeyRing.load(path).rotated()

    crypto.replace_key_file(path, ring)

    assert KeyRing.load(path).key_ids == ring.key_ids
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]


def test_the_key_is_found_in_order(tmp_path: Path) -> None:
    """A systemd credential wins over the file, the file over the environment, which is marked as exposed."""
    variable, file, credential = (KeyRing.generate() for _ in range(3))
    environ = {"SPOTD_MASTER_KEY": variable.dump().decode()}
    state, credentials = tmp_path / "state", tmp_path / "credentials"
    credentials.mkdir()

    assert crypto.locate(state, {}) is None
    found = crypto.locate(state, environ)
    assert found is not None
    assert (found.ring.newest, found.exposed) == (variable.newest, True)

    crypto.replace_key_file(crypto.create_key_file(state), file)
    found = crypto.locate(state, environ)
    assert found is not None
    assert (found.ring.newest, found.exposed) == (file.newest, False)

    (credentials / "master-key").write_bytes(credential.dump())
    found = crypto.locate(state, {**environ, "CREDENTIALS_DIRECTORY": str(credentials)})
    assert found is not None
    assert found.ring.newest == credential.newest
