"""DescribeInstances: a whole region page by page, or named instances."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from spotd.aws.errors import AwsError, Call, MalformedReply, Trouble, classify
from spotd.aws.instances.convert import instance_from
from spotd.aws.replies import Raw, optional_text, rows
from spotd.aws.session import AccountSession
from spotd.model.instance import LIVE, Instance

PAGE_SIZE: Final = 100
"""Instances a page: botocore's parser holds the event loop for about a millisecond each."""
FILTER_VALUES: Final = 200
"""The most values EC2 takes in one filter."""


class Page(NamedTuple):
    """Instances that exist (tombstones left out), and whether the listing is complete with them."""

    instances: tuple[Instance, ...]
    last: bool


async def list_instances(
    session: AccountSession, region: str, managed_tag: str, *, zones: Mapping[str, str] | None = None
) -> AsyncIterator[Page]:
    """Yield every instance of a region, page by page; raises AwsError when a page is lost, cut or not this account's.

    Only a listing whose last page came is complete.
    """
    async for page in session.pages("ec2", region, "DescribeInstances", MaxResults=PAGE_SIZE):
        yield Page(tuple(_alive(session, region, page.rows, managed_tag, zones)), page.last)


async def describe_instances(
    session: AccountSession, region: str, ids: Iterable[str], managed_tag: str
) -> tuple[Instance, ...]:
    """Return the named instances with their tombstones; ids AWS does not know are left out. Raises AwsError."""
    # By filter: the operation's own list of ids fails as a whole for one id that is gone.
    found: list[Instance] = []
    for some in batched(sorted(set(ids)), FILTER_VALUES):
        only = [{"Name": "instance-id", "Values": some}]
        async for page in session.pages("ec2", region, "DescribeInstances", Filters=only, MaxResults=PAGE_SIZE):
            found.extend(_converted(session, region, page.rows, managed_tag, None))
    return tuple(found)


def batched(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the values in lists of at most `size`."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _alive(
    session: AccountSession, region: str, page: Sequence[Raw], managed_tag: str, zones: Mapping[str, str] | None
) -> Iterator[Instance]:
    return (each for each in _converted(session, region, page, managed_tag, zones) if each.state in LIVE)


def _converted(
    session: AccountSession, region: str, page: Sequence[Raw], managed_tag: str, zones: Mapping[str, str] | None
) -> Iterator[Instance]:
    call = Call(session.account_id, region, "ec2", "DescribeInstances")
    for reservation in page:
        _require_owner(reservation, call)
        for raw in rows(reservation, "Instances"):
            try:
                yield instance_from(
                    raw, account_id=session.account_id, region=region, managed_tag=managed_tag, zones=zones
                )
            except MalformedReply as error:
                raise classify(error, call) from error


def _require_owner(reservation: Raw, call: Call) -> None:
    """Nothing of one account may ever be filed under another."""
    owner = optional_text(reservation, "OwnerId")
    if owner is not None and owner != call.account_id:
        raise AwsError(Trouble.PERMANENT, "WrongAccount", f"the answer belongs to account {owner}", call)
