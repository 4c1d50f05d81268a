"""Rows of the inventory and what they stand for."""

import msgspec

from spotd.model.instance import Instance, Lifecycle, State, StoredInstance
from spotd.store.db.values import Row, from_json, maybe_when, when


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an instance's row keeps as JSON, because nothing is selected by it."""

    architecture: str | None = None
    virtualization: str | None = None
    ena: bool | None = None
    image_id: str | None = None
    root_device: str | None = None
    volume_ids: tuple[str, ...] = ()
    vpc_id: str | None = None
    subnet_id: str | None = None
    private_ip: str | None = None


_FIELDS = Facts.__struct_fields__
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Facts).decode
_tags = msgspec.json.Decoder(dict[str, str]).decode


def facts_of(instance: Instance) -> str:
    """Return the JSON column `facts` of an instance."""
    return _encode(Facts(**{name: getattr(instance, name) for name in _FIELDS})).decode()


def stored_instance(row: Row) -> StoredInstance:
    """Return what a row of the view `inventory` says."""
    return StoredInstance(
        instance=_instance(row),
        load_balancers=from_json(row["load_balancers"], tuple[str, ...]),
        first_seen_at=when(row["first_seen_at"]),
        changed_at=when(row["changed_at"]),
        terminated_at=maybe_when(row["terminated_at"]),
        scope_completed_at=maybe_when(row["scope_completed_at"]),
    )


def _instance(row: Row) -> Instance:
    facts = _decode(row["facts"])
    return Instance(
        instance_id=row["instance_id"],
        account_id=row["account_id"],
        region=row["region"],
        availability_zone=row["availability_zone"],
        az_id=row["az_id"],
        instance_type=row["instance_type"],
        state=State(row["state"]),
        lifecycle=Lifecycle(row["lifecycle"]),
        asg_name=row["asg_name"],
        cluster=row["cluster"],
        managed=bool(row["managed"]),
        tags=_tags(row["tags"]),
        launched_at=maybe_when(row["launched_at"]),
        product=row["product"],
        tenancy=row["tenancy"],
        **{name: getattr(facts, name) for name in _FIELDS},
    )
