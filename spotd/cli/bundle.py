"""The support bundle: what the daemon knows about itself, without anything secret."""

import io
import json
import os
import platform
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spotd.cli.client import Client
from spotd.cli.failures import Failure
from spotd.config import Config, flattened
from spotd.log import redact, redact_text

LIBRARIES = ("spotd", "aioboto3", "aiobotocore", "aiohttp", "aiosqlite", "asyncpg", "cryptography", "msgspec")
RESOURCES = {
    "health.json": "/health",
    "health-history.json": "/health/history",
    "overview.json": "/overview",
    "accounts.json": "/accounts",
}


def write_bundle(target: Path, config: Config, checks: Sequence[Mapping[str, Any]], client: Client) -> None:
    """Write a gzipped tar (0600) of facts about this installation; everything in it is redacted first."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as bundle:
        for name, content in _parts(config, checks, client):
            entry = tarfile.TarInfo(f"spotd-bundle/{name}")
            entry.size, entry.mode = len(content), 0o600
            bundle.addfile(entry, io.BytesIO(content))


def _parts(config: Config, checks: Sequence[Mapping[str, Any]], client: Client) -> Iterator[tuple[str, bytes]]:
    yield "checks.json", _json(checks)
    yield "config.json", _json(flattened(config))
    yield "versions.json", _json({"python": platform.python_version(), "libraries": {n: version(n) for n in LIBRARIES}})
    try:
        for name, path in RESOURCES.items():
            yield name, _json(client.get(path))
        yield "healthz.json", _json(json.loads(client.text("/healthz")))
        yield "metrics.txt", redact_text(client.text("/metrics")).encode()
    except Failure as failure:
        yield "daemon.txt", redact_text(f"{failure.what}\n{failure.why}\n").encode()


def _json(value: object) -> bytes:
    return json.dumps(redact(value), indent=2, ensure_ascii=False).encode()
