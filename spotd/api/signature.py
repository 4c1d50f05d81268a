"""Signed events: `X-Spotd-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`."""

import hmac
import re
from datetime import datetime
from hashlib import sha256

HEADER = "X-Spotd-Signature"
TOLERANCE = 300
"""Seconds a signature's time may differ from ours, either way."""

SHAPE = re.compile(r"t=(?P<at>[0-9]{1,12}),v1=(?P<digest>[0-9a-f]{64})")


def sign(secret: bytes, body: bytes, at: datetime) -> str:
    """Return the header's value for a body sent at this time."""
    stamp = int(at.timestamp())
    return f"t={stamp},v1={_digest(secret, str(stamp), body)}"


def holds(secret: bytes, header: str, body: bytes, now: datetime) -> bool:
    """Whether the header proves that the body was sent by who knows the secret, within the tolerance."""
    match = SHAPE.fullmatch(header)
    if match is None or abs(now.timestamp() - int(match["at"])) > TOLERANCE:
        return False
    return hmac.compare_digest(_digest(secret, match["at"], body), match["digest"])


def _digest(secret: bytes, stamp: str, body: bytes) -> str:
    return hmac.new(secret, stamp.encode() + b"." + body, sha256).hexdigest()
