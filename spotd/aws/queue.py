"""SQS: take messages off one of the daemon's own queues."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from spotd.aws.errors import AwsError, Trouble
from spotd.aws.instances.listing import batched
from spotd.aws.replies import Raw, optional_text, part, rows
from spotd.aws.session import AccountSession
from spotd.errors import InvalidInput

WAIT_SECONDS: Final = 20
"""How long SQS holds an empty receive: the longest it allows, so that few requests are paid for."""
MOST_MESSAGES: Final = 10
"""Messages in one receive or one delete."""

REGION_IN_HOST: Final = re.compile(
    r"^sqs[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d+)\.|^(?P<legacy>[a-z]{2}(?:-[a-z]+)+-\d+)\.queue\."
)


class Message(NamedTuple):
    """One message; `receipt` is what deletes this delivery of it, `deliveries` counts how often it was given out."""

    message_id: str
    receipt: str
    body: str
    deliveries: int = 1


class Queue:
    """One queue, by its URL, with the daemon's own identity."""

    def __init__(self, session: AccountSession, url: str) -> None:
        self._session = session
        self.url = url
        self.region = region_of(url, session.home_region)

    async def receive(self, *, most: int = MOST_MESSAGES, wait_seconds: int = WAIT_SECONDS) -> tuple[Message, ...]:
        """Return up to ten messages, none after `wait_seconds` without any; raises AwsError."""
        reply = await self._session.call(
            "sqs",
            self.region,
            "ReceiveMessage",
            QueueUrl=self.url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return tuple(message for raw in rows(reply, "Messages") if (message := _message(raw)) is not None)

    async def delete(self, messages: tuple[Message, ...]) -> None:
        """Delete these deliveries, which must be durable elsewhere; raises AwsError if one of them stays."""
        for some in batched((message.receipt for message in messages), MOST_MESSAGES):
            entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(some)]
            reply = await self._session.call(
                "sqs", self.region, "DeleteMessageBatch", QueueUrl=self.url, Entries=entries
            )
            _require_deleted(reply)

    async def depth(self) -> int:
        """Return about how many messages wait; raises AwsError."""
        name = "ApproximateNumberOfMessages"
        reply = await self._session.call(
            "sqs", self.region, "GetQueueAttributes", QueueUrl=self.url, AttributeNames=[name]
        )
        told = optional_text(part(reply, "Attributes"), name) or ""
        if not told.isdecimal():
            raise AwsError(Trouble.TRANSIENT, "MalformedReply", f"no {name}")
        return int(told)


def region_of(url: str, home_region: str) -> str:
    """Return the region a queue's URL names, home for an address that names none; raises InvalidInput."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
        raise InvalidInput(f"not a queue's URL: {url!r}", field="events.queues")
    match = REGION_IN_HOST.match(parts.hostname)
    return home_region if match is None else match["region"] or match["legacy"]


def _message(raw: Raw) -> Message | None:
    """What has no receipt cannot be deleted, and is no message."""
    receipt = optional_text(raw, "ReceiptHandle")
    if receipt is None:
        return None
    count = optional_text(part(raw, "Attributes"), "ApproximateReceiveCount") or "1"
    deliveries = int(count) if count.isdecimal() else 1
    return Message(optional_text(raw, "MessageId") or "", receipt, optional_text(raw, "Body") or "", deliveries)


def _require_deleted(reply: Raw) -> None:
    """A receipt that is out of date is no failure: its message was given out again, and that delivery counts."""
    failed = [each for each in rows(reply, "Failed") if each.get("Code") != "ReceiptHandleIsInvalid"]
    if failed:
        code, detail = str(failed[0].get("Code")), str(failed[0].get("Message"))
        raise AwsError(Trouble.TRANSIENT, code, f"{len(failed)} messages were not deleted: {detail}")
