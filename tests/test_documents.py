"""The documents promise only what is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from spotd.cli.root import spotd
from spotd.config import options

FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
KEY = re.compile(
    r"`((?:store|api|aws|discovery|health|optimizer|prices|k8s|events|execution|ml|budget|log|retention)\.\w+)`"
)


@pytest.fixture(scope="module")
def documents(repository: Path) -> dict[str, str]:
    paths = [path for folder in (".", "docs", "designs") for path in (repository / folder).glob("*.md")]
    return {str(path.relative_to(repository)): path.read_text() for path in paths}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each `spotd …` in a document's shell examples."""
    for block in FENCE.findall(text):
        for line in re.findall(r"^(?:sudo )?spotd (.*)", block, re.MULTILINE):
            yield shlex.split(line, comments=True)


def unknown_in(words: list[str]) -> str | None:
    """Return the first word that no command or option of `spotd` is called by."""
    command: click.Command = spotd
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return words[0] if not command.invoke_without_command else None
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return next((word for word in words if word.startswith("-") and word not in known), None)


def test_documents_link_to_what_exists(documents: dict[str, str], repository: Path) -> None:
    """Every relative link of a document leads somewhere."""
    broken = [
        f"{name}: {target}"
        for name, text in documents.items()
        for target in re.findall(r"\]\(([^)#\s]+)", text)
        if "://" not in target and not ((repository / name).parent / target).exists()
    ]

    assert broken == []


def test_documented_commands_exist(documents: dict[str, str]) -> None:
    """Every `spotd` command of a shell example, and every option in it, is one the program has."""
    examples = [(name, words) for name, text in documents.items() for words in commands(text)]

    assert len(examples) > 10
    assert [(name, words) for name, words in examples if unknown_in(words)] == []


def test_documented_options_exist(documents: dict[str, str]) -> None:
    """Every configuration key that a document names is one the program reads."""
    known = {path for path, _ in options()}
    named = {(name, key) for name, text in documents.items() for key in KEY.findall(text)}

    assert {(name, key) for name, key in named if key not in known} == set()
