"""SQL lives in files: each statement with a name and a sentence, loaded once."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ARGUMENT = re.compile(r":([a-z_]+)\??")
_OPTIONAL = re.compile(r":([a-z_]+)\?")


class Statements(Mapping[str, str]):
    """The statements of one file, by name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def filtered(self, name: str, **facts: Any) -> tuple[str, list[Any]]:
        """Return a statement with named arguments, and the arguments in order.

        A line with `:name?` is left out when that fact is None: each set of filters becomes a statement of its own,
        which the database can plan with the right index.
        """
        lines = self[name].splitlines()
        kept = (line for line in lines if all(facts[fact] is not None for fact in _OPTIONAL.findall(line)))
        args: list[Any] = []

        def numbered(match: re.Match[str]) -> str:
            args.append(facts[match[1]])
            return f"${len(args)}"

        return _ARGUMENT.sub(numbered, "\n".join(kept)), args


def load(aggregate: str) -> Statements:
    """Read `sql/<aggregate>.sql`."""
    return parse(files(__package__).joinpath("sql", f"{aggregate}.sql").read_text("utf-8"))


def parse(text: str) -> Statements:
    """Return the statements of a file; raises ValueError for one without its sentence, or named twice."""
    pieces = _NAME.split(text)[1:]
    named = list(zip(pieces[::2], map(str.strip, pieces[1::2]), strict=True))
    texts = {name: _body(name, text) for name, text in named}
    if len(texts) != len(named):
        raise ValueError("two statements with one name")
    return Statements(texts)


def arguments_of(statement: str) -> set[str]:
    """Return the names a statement's arguments have, if they have names."""
    return set(_ARGUMENT.findall(statement))


def _body(name: str, text: str) -> str:
    lines = text.splitlines()
    body = [line for line in lines if not line.startswith("--")]
    if not lines or not lines[0].startswith("-- ") or not body:
        raise ValueError(f"statement {name} needs a sentence and a text")
    return "\n".join(body).strip().rstrip(";")
