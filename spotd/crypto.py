"""Sealing of secrets: AES-256-GCM under a ring of keys, each ciphertext bound to the place it is stored at.

The place (`context`, such as `accounts/12/secret_access_key`) is authenticated with the ciphertext, so a value copied
to another row or column does not open there.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spotd.errors import Conflict, SpotdError, WrongKey

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = "spotd1"
CREDENTIAL = "master-key"
FILE = "master.key"
VARIABLE = "SPOTD_MASTER_KEY"
_CANARY_CONTEXT, _CANARY = "meta/canary", b"the key fits"


class UnsafeFile(SpotdError):
    """A file that holds a secret can be read or changed by others."""

    code = "unsafe_file"


class KeyRing:
    """The master keys: the newest one seals, every one opens what it sealed."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = {_key_id(key): key for key in keys}
        if not self._keys:
            raise WrongKey("the key ring holds no key")

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @classmethod
    def generate(cls) -> Self:
        """Return a ring with one new key."""
        return cls([secrets.token_bytes(KEY_BYTES)])

    @classmethod
    def load(cls, source: Path | bytes) -> Self:
        """Read a ring: one key a line in base64, the newest last; lines that start with `#` are comments.

        A file must be readable by its owner alone (0400). Raises UnsafeFile, OSError, and WrongKey for what is no key.
        """
        text = read_secret(source, mode=0o400) if isinstance(source, Path) else source
        lines = [line.strip() for line in text.splitlines()]
        return cls([_decoded(line) for line in lines if line and not line.startswith(b"#")])

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return list(self._keys)[-1]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, oldest first."""
        return tuple(self._keys)

    def dump(self) -> bytes:
        """Return the ring as `load` reads it."""
        return b"".join(base64.b64encode(key) + b"\n" for key in self._keys.values())

    def rotated(self) -> "KeyRing":
        """Return a ring with a new key beside the known ones."""
        return KeyRing([*self._keys.values(), secrets.token_bytes(KEY_BYTES)])

    def without_old(self) -> "KeyRing":
        """Return a ring with only the newest key: the end of a rotation, once everything is resealed."""
        return KeyRing([self._keys[self.newest]])

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """Encrypt under the newest key; the result opens only with the same context."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        key_id = self.newest
        sealed = AESGCM(self._keys[key_id]).encrypt(nonce, plaintext, _associated(key_id, context))
        return f"{VERSION}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, token: str, *, context: str) -> bytes:
        """Decrypt; raises WrongKey for an unknown key, another context, or a changed token."""
        key_id, sealed = _parts(token)
        key = self._keys.get(key_id)
        if key is None:
            raise WrongKey(f"sealed with key {key_id}, which is not in the key ring ({', '.join(self._keys)})")
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(key_id, context))
        except (InvalidTag, ValueError):
            raise WrongKey(f"the ciphertext at {context} was changed, or belongs to another place") from None

    def is_current(self, token: str) -> bool:
        """Whether the newest key sealed this; raises WrongKey for what is no token."""
        return _parts(token)[0] == self.newest

    def reseal(self, token: str, *, context: str) -> str:
        """Return the token sealed by the newest key, unchanged if it already is. Raises as `open` does."""
        return token if self.is_current(token) else self.seal(self.open(token, context=context), context=context)

    def canary(self) -> str:
        """Return a token to store, by which a later start sees whether it has the right key."""
        return self.seal(_CANARY, context=_CANARY_CONTEXT)

    def check_canary(self, token: str) -> None:
        """Raise WrongKey unless this ring can open what the canary's ring sealed."""
        self.open(token, context=_CANARY_CONTEXT)


class Located(NamedTuple):
    """A key ring and where it was found; `exposed` if every program of the same user can read it there."""

    ring: KeyRing
    source: str
    exposed: bool = False


def locate(state_dir: Path, environ: Mapping[str, str]) -> Located | None:
    """Find the master key: a systemd credential, else the file in the state directory, else the environment.

    Raises what `KeyRing.load` raises; None where there is no key at all.
    """
    directory = environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(directory) / CREDENTIAL if directory else None
    if credential is not None and credential.exists():
        # systemd guards these by the directory and by ACLs, which the mode does not show.
        return Located(KeyRing.load(credential.read_bytes()), str(credential))
    file = state_dir / FILE
    if file.exists():
        return Located(KeyRing.load(file), str(file))
    text = environ.get(VARIABLE)
    return Located(KeyRing.load(text.encode()), f"${VARIABLE}", exposed=True) if text else None


def create_key_file(state_dir: Path) -> Path:
    """Write a new master key (0400) where `locate` finds it, making the directory (0700) if need be.

    An existing key is never overwritten: raises Conflict.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state_dir / FILE
    draft = _written_beside(path, KeyRing.generate().dump())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise Conflict(f"{path} exists and is never overwritten; what it sealed would be lost") from None
    finally:
        draft.unlink()
    _flush_directory(state_dir)
    return path


def replace_key_file(path: Path, ring: KeyRing) -> None:
    """Put a ring in the place of the one in this file, as a whole or not at all."""
    _written_beside(path, ring.dump()).replace(path)
    _flush_directory(path.parent)


def read_secret(path: Path, *, mode: int = 0o600) -> bytes:
    """Read a file that holds a secret; raises UnsafeFile if its mode allows more than `mode`, and OSError."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno()).st_mode & 0o777
        if found & ~mode:
            raise UnsafeFile(f"{path} has mode {found:04o}, which allows more than {mode:04o}; chmod {mode:04o} {path}")
        return file.read()


def _written_beside(path: Path, content: bytes) -> Path:
    """Write content to a new 0400 file in the same directory, on disk when this returns."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decoded(line: bytes) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise WrongKey(f"a master key is {KEY_BYTES} bytes in base64; `spotd keys generate` makes one")
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"spotd key id:" + key).hexdigest()[:8]


def _associated(key_id: str, context: str) -> bytes:
    return f"{VERSION}.{key_id}:{context}".encode()


def _parts(token: str) -> tuple[str, bytes]:
    try:
        version, key_id, text = token.split(".")
        sealed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        raise WrongKey("this is no sealed value of spotd") from None
    if version != VERSION:
        raise WrongKey(f"sealed by another version of spotd ({version[:12]!r})")
    return key_id, sealed
