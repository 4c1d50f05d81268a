"""config.toml is the options' documentation, so it is held equal to the code."""

import ast
import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from spotd import config
from spotd.config import sections

DOCUMENT = Path(__file__).parents[2] / "config.toml"


def options_in(table: Mapping[str, object], prefix: str = "") -> set[str]:
    known = {path for path, _ in config.options()}
    found = set()
    for name, value in table.items():
        path = f"{prefix}{name}"
        found |= {path} if path in known or not isinstance(value, dict) else options_in(value, f"{path}.")
    return found


def test_the_document_says_what_the_code_does() -> None:
    """Loading config.toml changes nothing: each value in it is the default."""
    environ = {"HOME": "/home/someone"}

    assert config.load(DOCUMENT, environ) == config.load(None, environ)


def test_the_document_has_every_option_and_no_other() -> None:
    """Options without a value of their own are there as comments, and valid ones."""
    text = re.sub(r"^#(\w+ = )", r"\1", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    table = tomllib.loads(text)

    assert options_in(table) == {path for path, _ in config.options()}


def test_every_option_in_the_document_has_a_comment() -> None:
    """The line above an option or a section explains it."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if re.match(r"#?\w+ = |\[", line):
            assert before.startswith("# "), line


def test_every_option_in_the_code_is_explained() -> None:
    """A docstring stands under each option, and config.toml's comment is that docstring."""
    document = " ".join(DOCUMENT.read_text(encoding="utf-8").replace("\n# ", " ").split())
    module = ast.parse(Path(sections.__file__).read_text(encoding="utf-8"))
    for section in (node for node in module.body if isinstance(node, ast.ClassDef)):
        for option, below in pairwise(section.body):
            if isinstance(option, ast.AnnAssign) and "Annotated" in ast.unparse(option.annotation):
                assert isinstance(below, ast.Expr), ast.unparse(option)
                assert " ".join(str(ast.literal_eval(below.value)).split()) in document


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("store.pool_size", 8),
        ("api.host", "127.0.0.1"),
        ("api.port", 8680),
        ("aws.rate_share", 0.25),
        ("aws.regions", ()),
        ("discovery.interval", 300.0),
        ("discovery.first_deadline", 900.0),
        ("health.interval", 30.0),
        ("optimizer.interval", 300.0),
        ("prices.interval", 600.0),
        ("k8s.enabled", False),
        ("execution.enabled", False),
        ("ml.enabled", False),
        ("health.thresholds.database", (0.05, 0.2)),
        ("health.thresholds.redis", (20, 50)),
        ("health.thresholds.k8s_watcher", (60, 120)),
        ("health.thresholds.optimizer", (600, 1800)),
        ("health.thresholds.price_scraper", (2, 6)),
        ("health.thresholds.risk_engine", (43200, 86400)),
    ],
)
def test_promised_defaults(path: str, default: object) -> None:
    """Defaults that other programs and operators rely on."""
    assert config.flattened(config.load(None, {"HOME": "/home/someone"}))[path] == default
