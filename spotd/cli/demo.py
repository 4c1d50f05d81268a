"""`spotd demo`: the simulated AWS as a child process, and the unmodified daemon beside it in this one.

The two accounts are onboarded over the API, as a user would do it: one with access keys, one through a role.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spotd.cli.client import Client
from spotd.cli.failures import CONFLICT, UNREACHABLE, Failure
from spotd.cli.transport import Address, Unreachable, exchange

if TYPE_CHECKING:
    from spotd.app import Ready

SIMULATOR_READY_WITHIN = 60.0
LONG_ENOUGH = 120.0
"""Seconds the first discovery of a demo may take before it is called odd."""

Simulated = Mapping[str, Any]
"""What the simulator tells about itself: endpoint, queues, accounts with their credentials."""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port of the API. Default: 8680.")
@click.option("--state-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep the state here.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same fleet.")
def demo(port: int | None, state_dir: Path | None, seed: int) -> int:
    """Try the whole daemon on a simulated AWS: two accounts, no credentials, nothing leaves this machine."""
    import asyncio

    from spotd import app
    from spotd.config import load

    with ExitStack() as stack:
        state = _state_dir(stack, state_dir)
        simulated = stack.enter_context(_simulator(state, seed))
        os.environ.update(_environment(simulated))
        loader = partial(load, None, dict(os.environ), _overrides(simulated, state, port))
        config = loader()
        try:
            return asyncio.run(app.run(config, load=loader, on_ready=partial(_begin, simulated)))
        except OSError as error:
            raise Failure("the demo cannot start", why=str(error), fix="name a free port with --port") from error


def _state_dir(stack: ExitStack, given: Path | None) -> Path:
    """Return the directory to keep state in: the given one, else a new one that goes when the demo ends."""
    if given is None:
        given = Path(tempfile.mkdtemp(prefix="spotd-demo-"))
        stack.callback(shutil.rmtree, given, ignore_errors=True)
    given.mkdir(mode=0o700, parents=True, exist_ok=True)
    return given.absolute()


@contextmanager
def _simulator(state: Path, seed: int) -> Iterator[Simulated]:
    """Run the simulated AWS; it ends with this process, however that ends."""
    file = state / "simulator.json"
    file.unlink(missing_ok=True)
    print("starting the simulated AWS …", flush=True)
    command = [sys.executable, "-m", "spotd.sim", "--port", "0", "--state-file", str(file), "--seed", str(seed)]
    # In its own session, Ctrl-C does not reach it: it serves until the daemon has said goodbye.
    process = subprocess.Popen(  # noqa: S603 - our own module
        [*command, "--parent-pid", str(os.getpid())], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield _wait_for(process, file)
    finally:
        # It has nothing to save, and a person who pressed Ctrl-C is waiting.
        process.kill()
        process.wait()
        file.unlink(missing_ok=True)


def _wait_for(process: subprocess.Popen[bytes], file: Path) -> Simulated:
    deadline = time.monotonic() + SIMULATOR_READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists():
            simulated: Simulated = json.loads(file.read_text(encoding="utf-8"))
            return simulated
        time.sleep(0.05)
    raise Failure("the simulated AWS did not start", why="its own output above says why")


def _environment(simulated: Simulated) -> dict[str, str]:
    """Give the daemon the simulator's identity, and none that this machine may have."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"):
        os.environ.pop(name, None)
    return {
        "AWS_ACCESS_KEY_ID": simulated["daemon"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": simulated["daemon"]["secret_access_key"],
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _overrides(simulated: Simulated, state: Path, port: int | None) -> dict[str, object]:
    return {
        "state_dir": str(state),
        "store.url": "",
        "api.socket": "",
        "aws.endpoint_url": simulated["endpoint"],
        "prices.advisor_url": simulated["advisor_url"],
        "events.queues": simulated["queue_urls"],
    } | ({"api.port": port} if port is not None else {})


def _begin(simulated: Simulated, ready: "Ready") -> None:
    """Tell where everything is, and onboard beside the running daemon."""
    # The token may stand in the link because everything behind it is simulated; the page takes it out of the URL.
    token = ready.token_file.read_text(encoding="utf-8").strip()
    print(
        f"\n  page           {ready.url}/#token={token}\n  API            {ready.url}/api/v1\n"
        f"  admin token    {ready.token_file}\n  stop           Ctrl-C\n\n"
        f"in another terminal:\n{_path()}"
        f"  export SPOTD_URL=unix:{ready.socket}\n"
        "  spotd status\n  spotd accounts list\n  spotd instances --limit 10\n"
        "  spotd recommend list --verdict recommended\n  spotd events tail\n",
        flush=True,
    )
    threading.Thread(target=_onboard, args=(simulated, ready), daemon=True, name="onboarding").start()


def _path() -> str:
    """Return the line that makes `spotd` a command of another terminal, if it is none there yet."""
    own = Path(sys.executable).parent
    found = shutil.which("spotd")
    return "" if found and Path(found).parent == own else f"  export PATH={own}:$PATH\n"


def _onboard(simulated: Simulated, ready: "Ready") -> None:
    client = Client(Address(f"unix:{ready.socket}"))
    try:
        by_keys, by_role = simulated["accounts"][:2]
        _connect_with_keys(client, by_keys)
        _connect_through_role(client, by_role, simulated["endpoint"])
        _report_discovery(client)
        _report_advice(client)
    except (Failure, Unreachable) as error:
        # The daemon shares this process: where it does not answer, the demo is being stopped. What somebody who
        # plays with the demo makes it refuse is told, and the daemon itself goes on.
        if not (isinstance(error, Failure) and error.code == UNREACHABLE):
            print(f"onboarding ended: {error}", file=sys.stderr, flush=True)


def _connect_with_keys(client: Client, account: Mapping[str, Any]) -> None:
    fields = ("account_id", "name", "access_key_id", "secret_access_key")
    _unless_there(client, {"connection_method": "access_keys", **{name: account[name] for name in fields}})


def _connect_through_role(client: Client, account: Mapping[str, Any], endpoint: str) -> None:
    """Add the account, do what its owner does with the ExternalId, connect."""
    known = {each["account_id"]: each for each in client.get("/accounts", {"limit": 1000})["items"]}
    found = known.get(account["account_id"]) or client.post(
        "/accounts", {"account_id": account["account_id"], "name": account["name"]}
    )
    body = json.dumps({"role_arn": account["role_arn"], "external_id": found["external_id"]}).encode()
    exchange(
        Address(endpoint), "POST", "/_sim/trust", headers={"Content-Type": "application/json"}, body=body, timeout=10
    )
    _unless_there(client, {"connection_method": "iam_role", "role_arn": account["role_arn"]})


def _unless_there(client: Client, body: Mapping[str, Any]) -> None:
    """Connect an account; one of an earlier demo in the same state directory is connected already."""
    try:
        client.post("/connect", body)
    except Failure as failure:
        if failure.code != CONFLICT:
            raise


def _report_discovery(client: Client) -> None:
    """Say when both accounts are discovered, and what was found."""
    for _ in _moments():
        accounts = client.get("/accounts")["items"]
        if all(account["status"] in ("active", "failed") for account in accounts):
            counts = client.get("/overview")["counts"]
            states = ", ".join(f"{account['name']} {account['status']}" for account in accounts)
            print(f"\n{states}; {counts['instances']} instances found\n", flush=True)
            return


def _report_advice(client: Client) -> None:
    """Name a recommendation that is worth reading."""
    for _ in _moments():
        found = client.get("/recommendations", {"verdict": "recommended", "state": "open", "limit": 1})["items"]
        if found:
            print(f"\nthe first recommendations are there; read one with: spotd recommend explain {found[0]['id']}\n")
            sys.stdout.flush()
            return


def _moments() -> Iterator[None]:
    """Come twice a second for as long as it is worth waiting."""
    deadline = time.monotonic() + LONG_ENOUGH
    while time.monotonic() < deadline:
        yield
        time.sleep(0.5)
