"""`python -m spotd.sim`: run the simulated AWS until told to stop, or until the parent is gone."""

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from spotd.sim.control import Control
from spotd.sim.options import FLEET_REGIONS, Options
from spotd.sim.server import Simulator

MAX_BODY = 16 * 1024 * 1024
PARENT_CHECK = 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve."""
    asyncio.run(serve(_options(arguments)))


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m spotd.sim", description=__doc__)
    default = Options()
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--state-file", type=Path, help="write endpoint and credentials here (0600) when ready")
    parser.add_argument("--seed", type=int, default=default.seed, help="the same seed gives the same world")
    parser.add_argument("--data", type=Path, default=_data_folder(), help="folder of recorded prices and facts")
    parser.add_argument("--accounts", type=int, default=default.accounts)
    parser.add_argument("--instances", type=int, default=default.instances, help="over all accounts")
    parser.add_argument("--regions", default=",".join(FLEET_REGIONS), help="regions that hold instances")
    parser.add_argument("--enabled", default=",".join(default.enabled), help="further regions that are enabled")
    parser.add_argument("--interrupt-after", type=float, default=default.interrupt_after, help="seconds; 0 never")
    parser.add_argument("--interrupt-every", type=float, default=default.interrupt_every, help="seconds; 0 once")
    parser.add_argument("--rebalance-every", type=float, default=default.rebalance_every, help="seconds; 0 never")
    parser.add_argument("--speed", type=float, default=default.speed, help="divides the two minutes of notice")
    parser.add_argument("--latency", type=float, default=default.latency, help="seconds added to each answer")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    parser.add_argument("--watch-stdin", action="store_true", help="end when standard input closes")
    parser.add_argument("--no-data", dest="data", action="store_const", const=None, help="ignore SPOTD_DATA")
    values = vars(parser.parse_args(arguments))
    if values["watch_stdin"] and not _watchable(sys.stdin.fileno()):
        parser.error("--watch-stdin needs a pipe or a terminal as standard input")
    for name in ("regions", "enabled"):
        values[name] = tuple(region for region in values[name].split(",") if region)
    return Options(**values)


def _data_folder() -> Path | None:
    folder = os.environ.get("SPOTD_DATA")
    return Path(folder) if folder else None


async def serve(options: Options) -> None:
    """Build the world, listen on 127.0.0.1, say so, and stay until a signal or the parent's end."""
    simulator = Simulator(options)
    await simulator.open()
    stop = _stop_event(options)
    runner: web.AppRunner
    control = Control(simulator, lambda: "http://{}:{}".format(*runner.addresses[0][:2]))
    runner = web.AppRunner(
        _application(simulator, control), handle_signals=False, access_log=None, shutdown_timeout=0.3
    )
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port).start()
    _announce(control.describe(), options.state_file)
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(simulator.ticker()), group.create_task(_parent_watch(options, stop))]
        await stop.wait()
        simulator.close()
        await runner.cleanup()
        for task in background:
            task.cancel()


def _application(simulator: Simulator, control: Control) -> web.Application:
    application = web.Application(client_max_size=MAX_BODY)
    application.add_routes(control.routes())
    application.router.add_get("/spot-advisor-data.json", simulator.advisor)
    application.router.add_route("*", "/{path:.*}", simulator.answer)
    return application


def _announce(state: Mapping[str, Any], file: Path | None) -> None:
    """The state file appears whole and readable by its owner only; then one line says that all is ready."""
    if file is not None:
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump(state, stream, indent=2)
        draft.replace(file)
    print(f"simulated AWS ready at {state['endpoint']}", flush=True)  # noqa: T201 - the one line it prints


# --- ending ------------------------------------------------------------------


def _stop_event(options: Options) -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.watch_stdin:
        loop.add_reader(sys.stdin.fileno(), _stdin_ready, stop)
    return stop


def _watchable(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


def _stdin_ready(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


async def _parent_watch(options: Options, stop: asyncio.Event) -> None:
    if options.parent_pid is None:
        return
    while _alive(options.parent_pid):  # noqa: ASYNC110 - no event tells that a process which is not a child has ended
        await asyncio.sleep(PARENT_CHECK)
    stop.set()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    # Until the world is built there is nothing to close: an early Ctrl-C may end the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The loop and the state's thread take turns often: answers stay quick while the other computes.
    sys.setswitchinterval(0.001)
    main()
    # All is closed; taking moto's objects apart one by one would only keep whoever waits for the end.
    sys.stdout.flush()
    os._exit(0)
