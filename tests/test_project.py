"""What holds for the tree as a whole: locks, lengths, docstrings of tests, nothing of one machine."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

LONGEST_FILE = 500
LONGEST_FUNCTION = 50
SOURCES = ("spotd", "tests", "bench")
LOCKS = ("base.txt", "dev.txt", "build.txt", "bootstrap.txt")
OF_ONE_MACHINE = re.compile(r"/(?:work|root)/")


def sources(repository: Path) -> Iterator[Path]:
    for folder in SOURCES:
        yield from (repository / folder).rglob("*.py")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(), path.name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def asked(repository: Path) -> list[str]:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    return [
        *project["project"]["dependencies"],
        *(one for extra in extras for one in extra),
        *project["dependency-groups"]["dev"],
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_host_and_hash_every_pin(repository: Path, name: str) -> None:
    """A lock works with any package index: it holds no address, and a hash for each version."""
    text = (repository / "requirements" / name).read_text()

    assert "://" not in text
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))


def test_the_lock_has_what_the_project_asks_for(repository: Path, asked: list[str]) -> None:
    """Every declared dependency is pinned, at a version its range allows."""
    locked = pins(repository / "requirements" / "dev.txt")
    wanted = [Requirement(one) for one in asked]

    assert [str(one) for one in wanted if not one.specifier.contains(locked.get(one.name.lower(), "0"))] == []


def test_the_locks_agree_with_each_other(repository: Path) -> None:
    """What runs in production is what was tested: the base lock's versions are the development lock's."""
    base, dev = (pins(repository / "requirements" / name) for name in ("base.txt", "dev.txt"))

    assert base.items() <= dev.items()


def test_no_file_is_too_long_to_read(repository: Path) -> None:
    """A file that outgrows 500 lines becomes a package."""
    lengths = {path.relative_to(repository): len(path.read_text().splitlines()) for path in sources(repository)}

    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long_to_read(repository: Path) -> None:
    """A function that outgrows 50 lines is several."""
    lengths = {
        f"{path.relative_to(repository)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in sources(repository)
        for function in functions(path)
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_every_test_says_what_it_holds(repository: Path) -> None:
    """The docstring of a test is the sentence that is true when it passes."""
    silent = [
        f"{path.relative_to(repository)}:{function.name}"
        for path in (repository / "tests").rglob("test_*.py")
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]

    assert silent == []


def test_nothing_is_bound_to_one_machine(repository: Path) -> None:
    """No file that belongs to the project names a path of the machine it was written on."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository, check=False, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    if listed == [""]:
        pytest.skip("not a git checkout")
    found = {
        name: match.group()
        for name in listed
        if name and name != "tests/test_project.py" and (repository / name).is_file()
        if (match := OF_ONE_MACHINE.search((repository / name).read_text(errors="replace")))
    }

    assert found == {}
