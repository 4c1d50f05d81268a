from datetime import UTC, datetime

from spotd.loops.prices.demand import Holding, demands, widened
from spotd.model.account import Account, Status
from spotd.model.instance import InstanceType
from spotd.store.instances import PoolUse

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def account(key: int) -> Account:
    return Account(
        id=key, account_id=f"{key:012}", name=f"a{key}", status=Status.ACTIVE, created_at=NOW, updated_at=NOW
    )


def holding(key: int, *pools: tuple[str, str, str]) -> Holding:
    used = tuple(
        PoolUse(region=region, instance_type=name, product=product, number=1) for region, name, product in pools
    )
    return Holding(account=account(key), pools=used, running={})


def test_demands() -> None:
    """Each region in use is one demand, with everybody's types and products and who may ask for them."""
    held = [
        holding(1, ("us-east-1", "m5.large", "Linux/UNIX"), ("eu-west-1", "c5.large", "Windows")),
        holding(2, ("us-east-1", "t3.micro", "Linux/UNIX (Amazon VPC)"), ("us-east-1", "m5.large", "Linux/UNIX")),
        holding(3),
    ]
    europe, america = demands(held)

    assert (europe.region, america.region) == ("eu-west-1", "us-east-1")
    assert [sorted(europe.types), sorted(america.types)] == [["c5.large"], ["m5.large", "t3.micro"]]
    assert [sorted(europe.products), sorted(america.products)] == [["Windows"], ["Linux/UNIX"]]
    assert [[one.id for one in demand.accounts] for demand in (europe, america)] == [[1], [1, 2]]


def test_products_the_market_does_not_sell_are_not_asked_for() -> None:
    """A product without a Spot market would make AWS refuse the whole question."""
    sql = ("us-east-1", "m5.large", "Windows with SQL Server Standard")
    (mixed,) = demands([holding(1, sql, ("us-east-1", "c5.large", "SUSE Linux"))])
    (only,) = demands([holding(1, sql)])

    assert (sorted(mixed.products), sorted(only.products)) == (["SUSE Linux"], ["Linux/UNIX"])


def test_widened() -> None:
    """To the types in use come those that could replace one of them; unknown types stay."""
    facts = {
        "vcpus": 2,
        "memory_mib": 8192,
        "architectures": frozenset({"x86_64"}),
        "virtualization": frozenset({"hvm"}),
        "usage_classes": frozenset({"spot"}),
        "network_mbps": 750,
        "ena": "required",
        "hypervisor": "nitro",
    }
    known = {name: InstanceType(name=name, **facts) for name in ("m5.large", "m6i.large")}  # type: ignore[arg-type]  # facts of all kinds

    assert widened(frozenset({"m5.large", "x1.new"}), known) == {"m5.large", "m6i.large", "x1.new"}
    assert widened(frozenset({"x1.new"}), known) == {"x1.new"}
