"""A running daemon's life: reload, a second daemon, stop, and what a first reader sees."""

import signal
from collections.abc import Callable
from http import HTTPStatus

import pytest

from spotd.sim.process import SimulatedAws
from tests.daemon.running import Spotd, quoted
from tests.servers import until

STOPS_WITHIN = 5


def watches_kubernetes(daemon: Spotd) -> bool:
    return bool(daemon.check()["k8s_watcher"]["enabled"])


def has_begun_to_watch_kubernetes(daemon: Spotd) -> bool:
    """Ask a daemon that may be just about to start anew, and then does not answer."""
    answer = daemon.post("health/check")
    return answer.status == HTTPStatus.OK and bool(answer.body["components"]["k8s_watcher"]["enabled"])


@pytest.fixture(params=["signal", "api"])
def reload(request: pytest.FixtureRequest) -> Callable[[Spotd], object]:
    """Each way to ask for a reload."""
    if request.param == "api":
        return lambda daemon: daemon.post("reload")
    return lambda daemon: daemon.signal(signal.SIGHUP)


def test_a_changed_option_takes_effect(running: Spotd, reload: Callable[[Spotd], object]) -> None:
    """The same process goes on with the new configuration, its accounts and its tokens."""
    pid = running.pid
    assert not watches_kubernetes(running)

    running.set({"k8s.enabled": "true"})
    reload(running)

    until(lambda: has_begun_to_watch_kubernetes(running), "the option does not take effect")
    assert running.pid == pid
    assert running.end(STOPS_WITHIN) == 0


def test_a_bad_configuration_is_refused_by_the_api(running: Spotd) -> None:
    """Every problem is named, and the old configuration goes on."""
    running.set({"k8s.enabled": "true", "health.interval": quoted("soon"), "optimizer.intervall": "5"})

    refused = running.post("reload")

    assert refused.status == 422
    assert "health.interval" in refused.text
    assert "optimizer.intervall" in refused.text
    assert running.answers()
    assert not watches_kubernetes(running)


def test_a_bad_configuration_is_refused_on_a_signal(running: Spotd) -> None:
    """The log names the problem, and the old configuration goes on."""
    running.set({"k8s.enabled": "true", "health.interval": quoted("soon")})

    running.signal(signal.SIGHUP)

    until(lambda: "daemon.reload_refused" in running.log, "the refusal is not logged")
    assert "health.interval" in running.log
    assert running.answers()
    assert not watches_kubernetes(running)


def test_sigterm_ends_a_busy_daemon(running: Spotd, simulator: SimulatedAws) -> None:
    """A discovery under way does not hold it: exit code 0 within five seconds, and the next start finishes it."""
    simulator.control("latency", {"seconds": 2})
    running.connect_keys(simulator.accounts[0])

    assert running.end(STOPS_WITHIN) == 0

    simulator.control("latency", {"seconds": 0})
    running.start()
    running.until_active(simulator.accounts[0])


def test_the_first_read_after_active_has_every_cost(running: Spotd, simulator: SimulatedAws) -> None:
    """Whoever asks as soon as the account is active sees a price for every running instance."""
    running.connect_keys(simulator.accounts[0])
    while running.statuses() != {simulator.accounts[0].account_id: "active"}:
        pass
    overview = running.get("overview").body

    assert overview["counts"]["by_state"]["running"] > 0
    assert overview["cost_micros_per_hour"] > 0
    assert overview["ages"]["cost_micros_per_hour"]["reason"] is None, "some running instance has no price"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_second_daemon_on_the_same_database_is_refused(
    running: Spotd, simulator: SimulatedAws, store_url: str
) -> None:
    """Also from another state directory: exit code 6 names the first one's process, which goes on."""
    second = Spotd(simulator, store_url, {})
    try:
        refused = second.run("run")
    finally:
        second.close()

    assert refused.returncode == 6, refused.stderr
    assert str(running.pid) in refused.stderr
    assert running.connect_keys(simulator.accounts[0]).status == 200
    running.until_active(simulator.accounts[0])
