"""What happens by itself: interruptions, rebalance recommendations, state changes, told through EventBridge."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from spotd.sim.launching import replace
from spotd.sim.world import World

NOTICE = timedelta(minutes=2)
SHOWN_AFTER_END = timedelta(hours=1)
_VIA = {"running": "pending", "stopped": "stopping", "terminated": "shutting-down"}


class Director:
    """Moves the world on at each `tick`, and speaks for AWS on the event bus of each account and region."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._states = {instance.id: instance.state for _account, _region, instance in world.instances()}
        self._ended: dict[str, datetime] = {}
        self._next: dict[str, datetime] = {}

    def somebody_listens(self) -> None:
        """The queue is being read for the first time: what is scheduled starts to count from now."""
        if not self._next:
            now, options = self._world.now(), self._world.options
            self._next = {"interrupt": now + timedelta(seconds=options.interrupt_after)}
            self._next["rebalance"] = now + timedelta(seconds=options.rebalance_every)

    def tick(self) -> None:
        """Do what is due: new notices, the end of interrupted instances, notices about every changed state."""
        now, options = self._world.now(), self._world.options
        if options.interrupt_after and self._due("interrupt", now, options.interrupt_every):
            self._strike(self.interrupt)
        if options.rebalance_every and self._due("rebalance", now, options.rebalance_every):
            self._strike(self.rebalance)
        for instance_id, ends_at in list(self._world.interrupted.items()):
            if now >= ends_at:
                self._reclaim(instance_id)
        self._tell_changes()
        for instance_id, ended_at in list(self._ended.items()):
            if now - ended_at > SHOWN_AFTER_END:
                self.forget(instance_id)

    def _due(self, what: str, now: datetime, every: float) -> bool:
        at = self._next.get(what)
        if at is None or now < at:
            return False
        self._next[what] = now + timedelta(seconds=every) if every else datetime.max.replace(tzinfo=now.tzinfo)
        return True

    def _strike(self, act: Any) -> None:
        candidates = sorted(
            instance.id
            for _account, _region, instance in self._world.instances()
            if instance.lifecycle == "spot" and instance.state == "running"
            and instance.id not in self._world.interrupted
        )  # fmt: skip
        if candidates:
            act(self._world.hashed("strike", len(self._world.truth)).choice(candidates))

    # --- what AWS does to an instance ------------------------------------------

    def interrupt(self, instance_id: str, action: str = "terminate") -> Mapping[str, Any]:
        """Two minutes' notice (divided by the simulator's speed), then the instance is reclaimed."""
        self._world.find_instance(instance_id)
        self._world.interrupted[instance_id] = self._world.now() + NOTICE / self._world.options.speed
        detail = {"instance-id": instance_id, "instance-action": action}
        return self.notify(instance_id, "EC2 Spot Instance Interruption Warning", detail)

    def rebalance(self, instance_id: str) -> Mapping[str, Any]:
        """A rebalance recommendation: a hint that need not come true."""
        return self.notify(instance_id, "EC2 Instance Rebalance Recommendation", {"instance-id": instance_id})

    def _reclaim(self, instance_id: str) -> None:
        del self._world.interrupted[instance_id]
        account_id, region, instance = self._world.find_instance(instance_id)
        if instance.state == "terminated":
            return
        instance.terminate()
        instance.state_reason.code = "Server.SpotInstanceTermination"
        instance.state_reason.message = "Server.SpotInstanceTermination: Spot instance termination"
        successor = replace(self._world, account_id, region, instance)
        self._world.record("reclaimed", instance_id=instance_id, replaced_by=successor)

    def forget(self, instance_id: str) -> None:
        """Stop listing an instance, as AWS does about an hour after its end."""
        self._tell_changes()
        self._ended.pop(instance_id, None)
        account_id, region, instance = self._world.find_instance(instance_id)
        backend = self._world.ec2(account_id, region)
        for reservation in list(backend.reservations.values() if backend is not None else ()):
            if instance in reservation.instances:
                reservation.instances.remove(instance)

    def _tell_changes(self) -> None:
        for _account, _region, instance in list(self._world.instances()):
            before, state = self._states.get(instance.id), instance.state
            if state == before:
                continue
            self._states[instance.id] = state
            if state == "terminated":
                self._ended[instance.id] = self._world.now()
            for step in (_VIA.get(state), state):
                if step is not None:
                    self._tell_state(instance.id, step)

    def _tell_state(self, instance_id: str, state: str) -> None:
        detail = {"instance-id": instance_id, "state": state}
        self.notify(instance_id, "EC2 Instance State-change Notification", detail)

    # --- EventBridge ---------------------------------------------------------------

    def notify(self, instance_id: str, detail_type: str, detail: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put an event of `aws.ec2` on the bus of the instance's account and region; the event."""
        account_id, region, instance = self._world.find_instance(instance_id)
        # The interruption warning names the zone where an ARN has its region: AWS's own quirk, seen in its samples.
        place = instance.placement.zone if "Interruption" in detail_type else f"{region}:{account_id}"
        event = {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": detail_type,
            "source": "aws.ec2",
            "account": account_id,
            "time": f"{self._world.now():%Y-%m-%dT%H:%M:%SZ}",
            "region": region,
            "resources": [f"arn:aws:ec2:{place}:instance/{instance_id}"],
            "detail": dict(detail),
        }
        self._world.record("event", event=event)
        self.put(event)
        return event

    def put(self, event: Mapping[str, Any]) -> None:
        """Deliver an event to the targets of every rule that matches it on its account's default bus."""
        events = self._world.moto.existing("events", event["account"], event["region"])
        bus = events.event_buses["default"] if events is not None else None
        for rule in list(bus.rules.values()) if bus is not None else ():
            if rule.state == "ENABLED" and rule.event_pattern.matches_event(dict(event)):
                for target in rule.targets:
                    self._deliver(target["Arn"], event)

    def _deliver(self, arn: str, event: Mapping[str, Any]) -> None:
        """SQS targets only: the queue may be in another account and region, which stands for a forwarding bus."""
        _arn, _partition, service, region, account_id, name = arn.split(":", 5)
        sqs = self._world.moto.existing("sqs", account_id, region) if service == "sqs" else None
        if sqs is not None and name in sqs.queues:
            sqs.send_message(name, json.dumps(event))
