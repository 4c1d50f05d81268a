"""Structured logging for the whole process: one chain for our own lines and for the libraries' ones.

Redaction runs last before a line is rendered or stored, so nothing added on the way escapes it.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

from spotd.log.redaction import REDACTED, redact, redact_text

__all__ = ["REDACTED", "Logs", "Row", "Sink", "configure", "redact", "redact_text"]

QUIET_LIBRARIES = ("aiohttp", "aioboto3", "aiobotocore", "asyncio", "boto3", "botocore", "urllib3")
"""Libraries whose lines matter from WARNING on: their debug lines hold requests with signatures."""

_OWN_FIELDS = frozenset({"event", "level", "timestamp", "component"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line for `system_logs`: `details` are the line's redacted key-values."""

    timestamp: datetime
    component: str
    level: str
    message: str
    details: Mapping[str, Any]


Sink = Callable[[Row], None]
"""Takes each line from WARNING on; must neither wait nor raise."""


class Logs:
    """The process's logging, once configured: attach the store's sink when the store is open."""

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink = sink

    def attach(self, sink: Sink) -> None:
        """Hand every line from WARNING on to this sink as well, in place of an earlier one."""
        self._sink = sink

    def detach(self) -> None:
        """Stop handing lines on, before the store closes."""
        self._sink = None

    def _hand_on(self, _: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if self._sink is not None and method in ("warning", "error", "critical"):
            self._sink(_row(line))
        return line


def configure(
    level: str = "info",
    format: str = "auto",  # noqa: A002 - named as the option is
    stream: TextIO | None = None,
    *,
    sink: Sink | None = None,
) -> Logs:
    """Set up logging for the process; calling it again replaces the former set-up.

    `level` and `format` as in the configuration's `log` section; `stream` is stderr unless given.
    """
    stream = stream or sys.stderr
    logs = Logs(sink)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _name_component,
            _redact,
            logs._hand_on,  # noqa: SLF001 - this is the class's own set-up
            _renderer(format, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _route_libraries(threshold)
    return logs


def _renderer(format: str, stream: TextIO) -> structlog.typing.Processor:  # noqa: A002 - named as the option is
    on_terminal = stream.isatty()
    if format == "console" or (format == "auto" and on_terminal):
        return structlog.dev.ConsoleRenderer(
            colors=on_terminal and not os.environ.get("NO_COLOR"),
            exception_formatter=structlog.dev.plain_traceback,
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def _name_component(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the component by the event's first word: `discovery.region_failed` is about `discovery`."""
    line.setdefault("component", str(line.get("event", "")).partition(".")[0])
    return line


def _redact(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    plain: dict[str, Any] = redact(line)
    return plain


def _row(line: Mapping[str, Any]) -> Row:
    return Row(
        timestamp=datetime.fromisoformat(line["timestamp"]).astimezone(UTC),
        component=line["component"],
        level=line["level"],
        message=line["event"],
        details={name: value for name, value in line.items() if name not in _OWN_FIELDS},
    )


class _Library(logging.Handler):
    """Hands the libraries' lines to our chain."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            _standard(record.levelno),
            _message(record),
            component=record.name.partition(".")[0],
            logger=record.name,
            exc_info=record.exc_info,
        )


def _standard(level: int) -> int:
    """Return the standard level at or below one of a library's own."""
    return min(max(level // 10 * 10, logging.DEBUG), logging.CRITICAL)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return f"{record.msg} {record.args}"


def _route_libraries(threshold: int) -> None:
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Library)] + [_Library()]
    root.setLevel(threshold)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
