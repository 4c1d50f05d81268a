"""How each kind of option is read: from a TOML value, and from the text of an environment variable."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


class Unfit(ValueError):
    """A value that an option does not take."""


class Edges(NamedTuple):
    """Where a component stops being healthy, and where it turns critical, in the unit of what is measured."""

    degraded: float
    critical: float


@dataclass(frozen=True)
class Kind:
    """One kind of option: `parse` checks a value, `decode` turns text into such a value; both raise ValueError for what does not fit."""

    parse: Callable[[Any], Any]
    decode: Callable[[str], Any] = str


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit(f"must be a whole number, not {_shown(value)}")
        if not low <= value <= high:
            raise Unfit(f"must be between {low} and {high}, not {value}")
        return value

    return Kind(parse, _number)


def number(low: float, high: float) -> Kind:
    """A number from `low` to `high`."""

    def parse(value: object) -> float:
        real = _real(value)
        if not low <= real <= high:
            raise Unfit(f"must be between {low:g} and {high:g}, not {real:g}")
        return real

    return Kind(parse, _number)


def duration(low: float, high: float = 3650 * 86400.0) -> Kind:
    """Seconds as a number, or text such as "250ms", "30s", "5m", "12h", "7d"; from `low` to `high` seconds."""

    def parse(value: object) -> float:
        seconds = _seconds(value)
        if not low <= seconds <= high:
            raise Unfit(f"must be between {low:g} and {high:g} seconds, not {_shown(value)}")
        return seconds

    return Kind(parse)


def edges(*, timed: bool = False, falling: bool = False) -> Kind:
    """Two edges, `[degraded, critical]`; durations if `timed`, the second the smaller one if `falling`."""

    def parse(value: object) -> Edges:
        if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004 - it is a pair
            raise Unfit(f"must be a pair [degraded, critical], not {_shown(value)}")
        pair = Edges(*((_seconds if timed else _real)(edge) for edge in value))
        if min(pair) < 0 or (pair.degraded < pair.critical) is falling or pair.degraded == pair.critical:
            order = "fall" if falling else "rise"
            raise Unfit(f"must {order} from degraded to critical and not be negative, not {_shown(value)}")
        return pair

    def decode(text: str) -> list[Any]:
        return [part if timed else _number(part) for part in _items(text)]

    return Kind(parse, decode)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"must be true or false, not {_shown(value)}")
    return value


def _decode_switch(text: str) -> object:
    return _SWITCHES.get(text.lower(), text)


def one_of(*choices: str) -> Kind:
    """One of a few words."""

    def parse(value: object) -> str:
        if value not in choices:
            raise Unfit(f"must be one of {', '.join(choices)}, not {_shown(value)}")
        return str(value)

    return Kind(parse)


def matching(pattern: str, meaning: str) -> Kind:
    """Text that a pattern describes."""

    def parse(value: object) -> str:
        if not re.fullmatch(pattern, _string(value)):
            raise Unfit(f"must be {meaning}, not {_shown(value)}")
        return str(value)

    return Kind(parse)


def address(*schemes: str) -> Kind:
    """A URL with one of these schemes and a host; None where empty."""

    def parse(value: object) -> str | None:
        return _url(value, schemes) if _string(value) else None

    return Kind(parse)


def many(item: Callable[[object], Any]) -> Kind:
    """A list; as text comma-separated or JSON."""

    def parse(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Unfit(f"must be a list, not {_shown(value)}")
        return tuple(item(each) for each in value)

    return Kind(parse, _items)


def table(item: Callable[[object], Any]) -> Kind:
    """Named values; as text a JSON object."""

    def parse(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Unfit(f"must be a table, not {_shown(value)}")
        return {str(name): item(each) for name, each in value.items()}

    return Kind(parse, json.loads)


def web_url(value: object) -> str:
    """An http or https URL."""
    return _url(value, ("http", "https"))


def region(value: object) -> str:
    """An AWS region's name."""
    if not _REGION.fullmatch(_string(value)):
        raise Unfit(f"must be AWS region names such as eu-west-1, not {_shown(value)}")
    return str(value)


def text(value: object) -> str:
    """Text that is not empty."""
    if not _string(value):
        raise Unfit("must not be empty")
    return str(value)


def anything(value: object) -> object:
    """Whatever it is."""
    return value


def _optional_text(value: object) -> str | None:
    return _string(value) or None


def _path(value: object) -> Path | None:
    return Path(_string(value)).expanduser().absolute() if _string(value) else None


def _store_url(value: object) -> str:
    if not _string(value) or str(value).startswith("sqlite:"):
        if value in ("sqlite:", "sqlite::memory:"):
            raise Unfit("must name a file: sqlite:PATH")
        return str(value)
    return _url(value, ("postgresql", "postgres"), "must be sqlite:PATH or postgresql://HOST/DATABASE")


def _url(value: object, schemes: tuple[str, ...], wanted: str | None = None) -> str:
    """Return the URL; the text of the error leaves out what it was, which may hold a password."""
    problem = wanted or f"must be a URL such as {schemes[-1]}://host"
    try:
        parts = urlsplit(_string(value))
        good = parts.scheme in schemes and (parts.hostname or "postgres" in parts.scheme) and parts.port != 0
    except ValueError as error:
        raise Unfit(f"{problem} ({error})") from None
    if not good:
        raise Unfit(problem)
    return str(value)


def _seconds(value: object) -> float:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise Unfit(f'must be a duration such as "30s", "5m" or seconds, not {_shown(value)}')
        return float(match[1]) * UNITS[match[2] or "s"]
    return _real(value)


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise Unfit(f"must be a number, not {_shown(value)}")
    return float(value)


def _string(value: object) -> str:
    if not isinstance(value, str | Path):
        raise Unfit(f"must be text, not {_shown(value)}")
    if "\0" in str(value):
        raise Unfit("must not hold a NUL character")
    return str(value)


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _items(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        decoded = json.loads(text)
        return decoded if isinstance(decoded, list) else [decoded]
    return [part.strip() for part in text.split(",") if part.strip()]


def _shown(value: object) -> str:
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 60 else shown[:57] + "..."  # noqa: PLR2004 - an error stays one line


SWITCH = Kind(_switch, _decode_switch)
OPTIONAL_TEXT = Kind(_optional_text)
PATH = Kind(_path)
STORE_URL = Kind(_store_url)
