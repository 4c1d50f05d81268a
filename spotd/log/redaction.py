"""Taking secrets out of what is logged: by the name of a value, and by what secrets look like inside text.

The result holds only plain values (text, numbers, booleans, None, lists, dicts), whatever went in.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 12

_SECRET_NAME = re.compile(
    r"(?i)secret|token|passw|authorization|ciphertext|credential|private.?key|master.?key|signature|cookie|access.?key"
)
_LABEL = r"(?:secret|token|passw|authorization|ciphertext|private.?key|master.?key|signature|cookie|access.?key)"


def _opaque(match: re.Match[str]) -> str:
    """Hide 40 characters in a row where they can be a secret access key: mixed, so neither a word nor a hex digest."""
    text = match[0]
    mixed = re.search(r"[a-z]", text) and re.search(r"[A-Z]", text) and re.search(r"[0-9+/]", text)
    return REDACTED if mixed else text


_Replacement = str | Callable[[re.Match[str]], str]

_PATTERNS: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (re.compile(r"-----BEGIN[^-]*PRIVATE KEY-----.*?(?:-----END[^-]*-----|\Z)", re.DOTALL), REDACTED),
    (re.compile(r"spotd1\.[0-9a-f]{8}\.[\w=-]+"), REDACTED),
    (re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{8,}"), REDACTED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+"), rf"\1 {REDACTED}"),
    (re.compile(r"://([^\s/:@]{0,128}):\S{1,512}@"), rf"://\1:{REDACTED}@"),
    (re.compile(rf"(?i)(<[^<>]{{0,60}}{_LABEL}[^<>]{{0,60}}>)[^<]+"), rf"\1{REDACTED}"),
    (
        re.compile(rf"(?i)({_LABEL}[\w-]{{0,40}}\\*[\"']?\s*[=:]\s*)(?:\\*\"[^\"]*\"?|\\*'[^']*'?|[^\s\"',;&}}]+)"),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"), _opaque),
)


def redact(value: object, *, depth: int = 0) -> Any:
    """Return a plain copy without secrets; values nested deeper than `MAX_DEPTH` become text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            return {redact_text(str(name)): _named(str(name), inner, depth + 1) for name, inner in value.items()}
        if isinstance(value, Sequence | AbstractSet) and not isinstance(value, bytes | bytearray | memoryview):
            return [redact(inner, depth=depth + 1) for inner in value]
    return redact_text(_text(value))


def redact_text(text: str) -> str:
    """Return text without what looks like a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _named(name: str, value: object, depth: int) -> Any:
    """Hide what its name says is secret; numbers and flags, such as a count of tokens, tell nothing."""
    if _SECRET_NAME.search(name) and not (value is None or isinstance(value, bool | int | float)):
        return REDACTED
    return redact(value, depth=depth)


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    return str(value)
