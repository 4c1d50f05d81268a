"""Loading: sources, their order, and everything that can be wrong with them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd import config
from spotd.config import Config, ConfigError, Edges

HOME = {"HOME": "/home/someone"}


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path | None, environ: dict[str, str] | None = None, **overrides: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        config.load(file, environ or HOME, overrides)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_nothing_given_is_a_whole_configuration() -> None:
    """Without any source, state, store and socket lie below the user's home."""
    loaded = config.load(None, HOME)

    assert loaded.state_dir == Path("/home/someone/.local/state/spotd")
    assert loaded.store.url == "sqlite:/home/someone/.local/state/spotd/spotd.db"
    assert loaded.api.socket == Path("/home/someone/.local/state/spotd/spotd.sock")


def test_systemd_state_directory_is_the_default() -> None:
    """Of the directories systemd made, the first one holds the state."""
    assert config.load(None, {**HOME, "STATE_DIRECTORY": "/var/lib/spotd:/var/lib/x"}).state_dir == Path(
        "/var/lib/spotd"
    )


def test_environment_wins_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    """The sources are the file, then the environment, then the command line."""
    file = write(tmp_path, "[api]\nport = 1\nhost = '127.0.0.2'\n[discovery]\ninterval = 7\n")

    loaded = config.load_with_origins(
        file, {**HOME, "SPOTD__API__PORT": "2", "SPOTD__API__HOST": "::1"}, {"api.port": 3}
    )

    assert (loaded.config.api.port, loaded.config.api.host, loaded.config.discovery.interval) == (3, "::1", 7.0)
    assert loaded.origins["api.port"] == "command line"
    assert loaded.origins["api.host"] == "SPOTD__API__HOST"
    assert loaded.origins["discovery.interval"] == str(file)


def test_environment_takes_lists_tables_and_switches() -> None:
    """Lists are comma-separated or JSON, tables JSON or entry by entry, switches words."""
    loaded = config.load(
        None,
        {
            **HOME,
            "SPOTD__AWS__REGIONS": "eu-west-1, us-east-1",
            "SPOTD__EVENTS__QUEUES": '["http://127.0.0.1:1/q"]',
            "SPOTD__AWS__ENDPOINTS__EC2": "http://127.0.0.1:2",
            "SPOTD__AWS__ENDPOINTS__STS": "http://127.0.0.1:3",
            "SPOTD__EXECUTION__ENABLED": "yes",
            "SPOTD__HEALTH__THRESHOLDS__DATABASE": "10ms,1s",
        },
    )

    assert loaded.aws.regions == ("eu-west-1", "us-east-1")
    assert loaded.events.queues == ("http://127.0.0.1:1/q",)
    assert loaded.aws.endpoints == {"ec2": "http://127.0.0.1:2", "sts": "http://127.0.0.1:3"}
    assert loaded.execution.enabled
    assert loaded.health.thresholds.database == Edges(0.01, 1.0)


def test_a_table_is_merged_over_its_sources(tmp_path: Path) -> None:
    """An endpoint from the environment joins those of the file."""
    file = write(tmp_path, "[aws.endpoints]\nec2 = 'http://127.0.0.1:1'\n")

    loaded = config.load(file, {**HOME, "SPOTD__AWS__ENDPOINTS__STS": "http://127.0.0.1:2"})

    assert loaded.aws.endpoints == {"ec2": "http://127.0.0.1:1", "sts": "http://127.0.0.1:2"}


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Each problem names its option; an unknown one comes with a suggestion."""
    file = write(
        tmp_path,
        "[api]\nprot = 1\nport = 70000\n[discovry]\ninterval = 1\n[store]\nurl = 'mysql://u:hunter2@h/d'\n"
        "[log]\nlevel = 'loud'\n[k8s]\nenabled = 'yes'\n[discovery]\ninterval = '5 moons'\nmanaged_tag = 'x'\n",
    )

    found = problems(file, {**HOME, "SPOTD__HEALTH__INTERVALL": "3", "SPOTD__AWS__RATE_SHARE": "much"})

    assert found["api.prot"] == "there is no such option; did you mean api.port?"
    assert found["api.port"] == "must be between 0 and 65535, not 70000"
    assert "did you mean discovery" in found["discovry"]
    assert found["store.url"] == "must be sqlite:PATH or postgresql://HOST/DATABASE"
    assert "must be one of debug" in found["log.level"]
    assert found["k8s.enabled"] == 'must be true or false, not "yes"'
    assert "must be a duration" in found["discovery.interval"]
    assert "KEY=VALUE" in found["discovery.managed_tag"]
    assert "did you mean health.interval" in found["health.intervall"]
    assert found["aws.rate_share"] == 'must be a number, not "much"'


def test_a_refused_url_is_not_repeated(tmp_path: Path) -> None:
    """A password inside a malformed connection string stays out of the error."""
    file = write(tmp_path, "[store]\nurl = 'postgresql://user:hunter2@host:port/db'\n")

    with pytest.raises(ConfigError) as caught:
        config.load(file, HOME)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["[api", "\xff", "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_one_problem(tmp_path: Path, text: str) -> None:
    """The problem names the file."""
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(file, HOME)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A path given is a path meant."""
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "none.toml", HOME)


def test_a_section_given_a_value_is_a_problem() -> None:
    """`SPOTD__API=1` says nothing."""
    assert problems(None, {**HOME, "SPOTD__API": "1"}) == {"api": "is a section: set the options in it"}


def test_edges_must_be_in_order(tmp_path: Path) -> None:
    """A threshold whose critical edge lies before the degraded one is refused; the disk's fall."""
    file = write(tmp_path, "[health.thresholds]\nredis = [50, 20]\ndisk = [0.03, 0.1]\noptimizer = ['10m']\n")

    assert problems(file).keys() == {"health.thresholds.redis", "health.thresholds.disk", "health.thresholds.optimizer"}


def test_a_configuration_in_code_is_complete(tmp_path: Path) -> None:
    """`Config(state_dir=…)` fills in store and socket as loading does."""
    assert Config(state_dir=tmp_path) == config.load(None, {}, {"state_dir": str(tmp_path)})


@given(st.dictionaries(st.sampled_from([path for path, _ in config.options()]), st.text(max_size=20), max_size=4))
def test_any_text_is_taken_or_refused_as_a_problem(settings: dict[str, str]) -> None:
    """No text in the environment makes loading fail with anything but its own error."""
    environ = {"SPOTD__" + path.upper().replace(".", "__"): text for path, text in settings.items()}

    refused = set()
    try:
        config.load(None, {**HOME, **environ})
    except ConfigError as error:
        refused = {problem.path for problem in error.problems}

    assert refused <= set(settings)


@given(st.floats(min_value=0.001, max_value=1e6))
def test_seconds_and_text_are_the_same_duration(seconds: float) -> None:
    """A bare number, "…s" and the number in a text mean the same."""
    given_as = [seconds, f"{seconds:.6f}s", f"{seconds:.6f}"]

    read = [
        config.load(None, HOME, {"health.thresholds.database": [0, value]}).health.thresholds.database.critical
        for value in given_as
    ]

    assert read == pytest.approx([seconds] * 3, abs=1e-6)
