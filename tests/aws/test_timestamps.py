from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws.clients import timestamp

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001


@given(MOMENTS, st.sampled_from(["auto", "seconds", "milliseconds"]))
def test_times_read_as_botocore_reads_them(moment: datetime, precision: str) -> None:
    """The fast way gives the same moment as botocore's, for any zone and precision."""
    text = moment.isoformat(timespec=precision)

    assert timestamp(text) == parse_timestamp(text)


@pytest.mark.parametrize(
    "value",
    ["2026-11-23T21:00:00Z", "2026-11-23T21:00:00.123Z", "Mon, 23 Nov 2026 21:00:00 GMT", 1795467600, 1795467600.5, "1795467600"],
)  # fmt: skip
def test_every_form_aws_uses_is_read(value: str | float) -> None:
    """ISO 8601, RFC 822 and epoch seconds, as number or text, are aware times."""
    assert timestamp(value) == parse_timestamp(value)
    assert timestamp(value).tzinfo is not None
