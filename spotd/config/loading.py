"""Build the configuration from its sources: the file, then the environment, then the command's own flags.

Everything wrong is collected first, so that one run tells all of it.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from spotd.config.sections import Config
from spotd.config.values import Kind
from spotd.errors import SpotdError

PREFIX = "SPOTD__"


class Problem(NamedTuple):
    """One thing wrong with the configuration: the option's path, what is wrong, and the source that says so."""

    path: str
    message: str
    origin: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message} ({self.origin})" if self.path else f"{self.origin}: {self.message}"


class ConfigError(SpotdError):
    """The configuration is not valid; `problems` holds everything that is wrong with it."""

    code = "bad_config"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Setting(NamedTuple):
    """A value as a source gives it; `textual` ones still have to be decoded."""

    value: object
    origin: str
    textual: bool = False


@dataclass(frozen=True)
class Loaded:
    """A configuration with the source of each option that is not its default, by the option's path."""

    config: Config
    origins: Mapping[str, str]


@dataclass
class _Draft:
    """What the sources said so far, by the options' paths."""

    settings: dict[str, Setting] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] = {}) -> Config:
    """Return the configuration; `overrides` are dotted paths. Raises ConfigError with all problems at once."""
    return load_with_origins(path, environ, overrides).config


def load_with_origins(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] = {},
) -> Loaded:
    """Return the configuration and where each value came from; raises as `load` does."""
    draft = _Draft()
    known = dict(options())
    if path is not None:
        _add_table(draft, known, _read(path), str(path))
    for name, text in environ.items():
        if name.startswith(PREFIX):
            _add(draft, known, name.removeprefix(PREFIX).lower().replace("__", "."), Setting(text, name, textual=True))
    for dotted, value in overrides.items():
        _add(draft, known, dotted, Setting(value, "command line", isinstance(value, str)))
    _check_state_dir(draft, environ)
    parsed = _parse(draft, known)
    if draft.problems:
        raise ConfigError(draft.problems)
    return Loaded(_build(Config, "", parsed), {dotted: setting.origin for dotted, setting in draft.settings.items()})


def options(section: type[Any] = Config, prefix: str = "") -> Iterator[tuple[str, Field[Any]]]:
    """Yield every option's dotted path with its declaration, in the order they are documented."""
    for each in fields(section):
        inner = _section_of(each)
        if inner is not None:
            yield from options(inner, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", each


def flattened(config: Config) -> dict[str, Any]:
    """Return every option's value by its dotted path."""
    return {dotted: reduce(getattr, dotted.split("."), config) for dotted, _ in options()}


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Return where state is kept unless configured: what systemd made for the service, else the user's own."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state" / "spotd"


def _section_of(each: Field[Any]) -> type[Any] | None:
    return each.type if isinstance(each.type, type) and is_dataclass(each.type) else None


def _kind_of(each: Field[Any]) -> Kind:
    """Return what is accepted for an option, from its annotation."""
    [kind] = each.type.__metadata__  # type: ignore[union-attr] # every option is Annotated
    assert isinstance(kind, Kind)
    return kind


def _read(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([Problem("", "there is no such file", str(path))]) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Problem("", f"cannot be read: {error}", str(path))]) from error


def _add_table(draft: _Draft, known: Mapping[str, Field[Any]], table: Mapping[str, object], origin: str) -> None:
    """Add a TOML table, descending into sections but not into options that are tables themselves."""
    pending = [("", table)]
    while pending:
        prefix, inner = pending.pop(0)
        for name, value in inner.items():
            dotted = f"{prefix}{name}"
            if dotted not in known and isinstance(value, Mapping) and _is_section(known, dotted):
                pending.append((f"{dotted}.", value))
            else:
                _add(draft, known, dotted, Setting(value, origin))


def _add(draft: _Draft, known: Mapping[str, Field[Any]], dotted: str, setting: Setting) -> None:
    """Note a setting, or that there is no such option; `aws.endpoints.ec2` is one entry of the table above it."""
    parent, _, entry = dotted.rpartition(".")
    if dotted in known:
        draft.settings[dotted] = setting
    elif parent in known and known[parent].default_factory is dict:
        before = draft.settings.get(parent)
        entries = before.value if before is not None and isinstance(before.value, dict) else {}
        draft.settings[parent] = Setting({**entries, entry: setting.value}, setting.origin)
    elif _is_section(known, dotted):
        draft.problems.append(Problem(dotted, "is a section: set the options in it", setting.origin))
    else:
        draft.problems.append(Problem(dotted, f"there is no such option{_suggestion(dotted, known)}", setting.origin))


def _is_section(known: Mapping[str, Field[Any]], dotted: str) -> bool:
    return any(option.startswith(f"{dotted}.") for option in known)


def _suggestion(dotted: str, known: Mapping[str, Field[Any]]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - needed only here, and slow to load

    sections = {option.rpartition(".")[0] for option in known} - {""}
    close = get_close_matches(dotted, [*known, *sections], n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _check_state_dir(draft: _Draft, environ: Mapping[str, str]) -> None:
    if "state_dir" not in draft.settings:
        draft.settings["state_dir"] = Setting(default_state_dir(environ), "default")
    elif draft.settings["state_dir"].value == "":
        draft.problems.append(Problem("state_dir", "must not be empty", draft.settings["state_dir"].origin))


def _parse(draft: _Draft, known: Mapping[str, Field[Any]]) -> dict[str, Any]:
    parsed = {}
    for dotted, setting in draft.settings.items():
        kind = _kind_of(known[dotted])
        try:
            value = kind.decode(setting.value) if setting.textual and isinstance(setting.value, str) else setting.value
            parsed[dotted] = kind.parse(value)
        except ValueError as error:
            draft.problems.append(Problem(dotted, str(error), setting.origin))
    return parsed


def _build(section: type[Any], prefix: str, parsed: Mapping[str, Any]) -> Any:
    given = {}
    for each in fields(section):
        inner = _section_of(each)
        if inner is not None:
            given[each.name] = _build(inner, f"{prefix}{each.name}.", parsed)
        elif f"{prefix}{each.name}" in parsed:
            given[each.name] = parsed[f"{prefix}{each.name}"]
    return section(**given)
