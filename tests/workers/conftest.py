"""The configuration as a shell finds it: in a file that an environment variable names."""

from pathlib import Path

import pytest

from spotd.config import Config


@pytest.fixture(autouse=True)
def shell(settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `spotd.workers` find the test's configuration."""
    file = tmp_path / "config.toml"
    file.write_text(
        f"""
        state_dir = "{settings.state_dir}"
        store.url = "{settings.store.url}"
        aws.endpoint_url = "{settings.aws.endpoint_url}"
        prices.advisor_url = "{settings.prices.advisor_url}"
        """
    )
    monkeypatch.setenv("SPOTD_CONFIG", str(file))
