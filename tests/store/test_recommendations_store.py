"""Advice stands until newer advice supersedes it or nobody confirms it in time."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from spotd.errors import Conflict, NotFound
from spotd.model.account import Account
from spotd.model.advice import Advice, Decision, Placement, Reason
from spotd.store import accounts, recommendations
from spotd.store.db import Database
from spotd.store.recommendations import OpenAdvice, Replaced

TTL = timedelta(minutes=30)


def advice(number: int, digest: str = "", verdict: Decision = Decision.RECOMMENDED) -> Advice:
    """Return a piece of advice about one instance."""
    moves = verdict is Decision.RECOMMENDED
    return Advice(
        kind="single",
        account_id="123456789012",
        instance_ids=(f"i-{number}",),
        source=Placement(
            instance_type="m5.large", availability_zone="a", lifecycle="on-demand", micros_per_hour=96_000
        ),
        target=Placement(instance_type="m5a.large", availability_zone="a", lifecycle="spot") if moves else None,
        saving_micros_per_hour=60_000 if moves else None,
        saving_micros_per_month=43_800_000 if moves else None,
        verdict=verdict,
        reasons=(Reason(rule="band", value=1, threshold=3, source="spot-advisor", age_seconds=1.5),),
        digest=digest or f"d{number}",
    )


async def test_advice_comes_back_whole(db: Database, account: Account, now: datetime) -> None:
    """Both recommendations and refusals are stored with every number and reason."""
    given = [advice(1), advice(2, verdict=Decision.REFUSED)]
    result = await recommendations.replace(db, account.id, given, now=now, ttl=TTL)

    assert result == Replaced(opened=2, kept=0, superseded=0)
    listed = (await recommendations.list_page(db)).items
    assert [one.advice for one in listed] == given[::-1]
    assert {(one.state, one.created_at, one.expires_at) for one in listed} == {("open", now, now + TTL)}
    assert await recommendations.get(db, listed[0].id) == listed[0]
    assert await recommendations.open_advice(db) == {
        Decision.RECOMMENDED: OpenAdvice(number=1, saving_micros_per_hour=60_000),
        Decision.REFUSED: OpenAdvice(number=1, saving_micros_per_hour=0),
    }


async def test_new_advice_supersedes_the_old(db: Database, account: Account, now: datetime) -> None:
    """Equal advice keeps its id and lives on; advice that is no longer given stays readable as superseded."""
    await recommendations.replace(db, account.id, [advice(1), advice(2)], now=now, ttl=TTL)
    before = {one.advice.digest: one.id for one in (await recommendations.list_page(db)).items}
    later = now + TTL * 0.75

    result = await recommendations.replace(db, account.id, [advice(2), advice(1, "new")], now=later, ttl=TTL)

    assert result == Replaced(opened=1, kept=1, superseded=1)
    stored = {one.advice.digest: one for one in (await recommendations.list_page(db)).items}
    assert {digest: one.state for digest, one in stored.items()} == {"d1": "superseded", "d2": "open", "new": "open"}
    assert (stored["d2"].id, stored["d2"].expires_at, stored["d2"].created_at) == (before["d2"], later + TTL, now)


async def test_the_same_advice_again_writes_nothing(db: Database, account: Account, now: datetime) -> None:
    """A round that says what the last one said does not even touch the rows, as long as they have time to live."""
    await recommendations.replace(db, account.id, [advice(1)], now=now, ttl=TTL)
    await recommendations.replace(db, account.id, [advice(1), advice(1)], now=now + TTL / 4, ttl=TTL)

    [stored] = (await recommendations.list_page(db)).items
    assert stored.expires_at == now + TTL


async def test_advice_that_nobody_confirms_expires(db: Database, account: Account, now: datetime) -> None:
    """At its time, not before, and only once."""
    await recommendations.replace(db, account.id, [advice(1)], now=now, ttl=TTL)

    assert await recommendations.expire(db, now=now + TTL - timedelta(microseconds=1)) == 0
    assert await recommendations.expire(db, now=now + TTL) == 1
    assert await recommendations.expire(db, now=now + TTL) == 0
    assert [one.state for one in (await recommendations.list_page(db)).items] == ["expired"]

    again = await recommendations.replace(db, account.id, [advice(1)], now=now + TTL, ttl=TTL)
    assert again == Replaced(opened=1, kept=0, superseded=0)


async def test_accounts_do_not_touch_one_another(db: Database, account: Account, now: datetime) -> None:
    """Advice for one account leaves that of another as it is, equal digests included."""
    other = await accounts.create_pending(db, account_id="9" * 12, name="o", external_id=None, now=now)
    await recommendations.replace(db, account.id, [advice(1)], now=now, ttl=TTL)
    await recommendations.replace(db, other.id, [advice(1)], now=now, ttl=TTL)
    await recommendations.replace(db, other.id, [], now=now, ttl=TTL)

    page = await recommendations.list_page(db, state="open")
    assert [one.advice.account_id for one in page.items] == [account.account_id]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({"account_id": "123456789012"}, 3),
        ({"account_id": "0" * 12}, 0),
        ({"verdict": "refused"}, 1),
        ({"state": "open", "verdict": "recommended"}, 1),
        ({"state": "superseded"}, 1),
    ],
)
async def test_advice_is_filtered(
    db: Database, account: Account, now: datetime, wanted: dict[str, Any], number: int
) -> None:
    """Each filter selects exactly what it names."""
    await recommendations.replace(db, account.id, [advice(1)], now=now, ttl=TTL)
    given = [advice(2), advice(3, verdict=Decision.REFUSED)]
    await recommendations.replace(db, account.id, given, now=now, ttl=TTL)

    assert len((await recommendations.list_page(db, **wanted)).items) == number


async def test_advice_for_an_account_that_is_gone_is_refused(db: Database, account: Account, now: datetime) -> None:
    """An account that goes while it is judged gets no advice."""
    await accounts.delete(db, account.id)

    with pytest.raises(Conflict):
        await recommendations.replace(db, account.id, [advice(1)], now=now, ttl=TTL)
    with pytest.raises(NotFound):
        await recommendations.get(db, 1)
