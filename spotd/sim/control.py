"""`/_sim/…`: what a test or a demo does to the simulated AWS from outside, and what truly happened in it."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from aiohttp import web

from spotd.sim.building import fresh_region, trust_policy
from spotd.sim.fleet import is_arm
from spotd.sim.launching import launch
from spotd.sim.server import Simulator
from spotd.sim.workloads import LINUX, LINUX_ARM

Body = Mapping[str, Any]
Action = Callable[[Body], Awaitable[Any]]


class Control:
    """The control endpoints. Bad input answers 400 with the reason."""

    def __init__(self, simulator: Simulator, endpoint: Callable[[], str]) -> None:
        self._sim = simulator
        self._endpoint = endpoint

    def routes(self) -> list[web.RouteDef]:
        """All routes under `/_sim`."""
        reads = {"state": self.state, "truth": self.truth, "calls": self.calls, "faults": self.faults}
        writes: Mapping[str, Action] = {
            "advisor": self.advisor,
            "clock": self.clock,
            "event": self.event,
            "expire-sessions": self.expire_sessions,
            "faults": self.fault,
            "interrupt": self.interrupt,
            "latency": self.latency,
            "launch": self.launch,
            "message": self.message,
            "override": self.override,
            "policy": self.policy,
            "rebalance": self.rebalance,
            "start": self.start,
            "stop": self.stop,
            "terminate": self.terminate,
            "trust": self.trust,
        }
        return [
            *(web.get(f"/_sim/{name}", _reader(read)) for name, read in reads.items()),
            *(web.post(f"/_sim/{name}", _writer(write)) for name, write in writes.items()),
        ]

    # --- looking ---------------------------------------------------------------

    async def state(self, _query: Body) -> Any:
        """Endpoint, queue and accounts with their credentials: the same as in the state file."""
        return self.describe()

    def describe(self) -> dict[str, Any]:
        """What a client needs to know to use the simulator."""
        world, endpoint = self._sim.world, self._endpoint()
        name = world.queue_arn.rpartition(":")[2]
        queue_url = f"{endpoint}/{world.hub.account_id}/{name}"
        return {
            "endpoint": endpoint,
            "advisor_url": f"{endpoint}/spot-advisor-data.json",
            "queue_url": queue_url,
            "queue_urls": [queue_url],
            "seed": world.options.seed,
            "regions": list(world.options.regions),
            "enabled_regions": list(world.options.enabled_regions),
            "daemon": asdict(world.hub),
            "accounts": [asdict(account) for account in world.accounts],
        }

    async def truth(self, query: Body) -> Any:
        """What happened, oldest first; `?kind=` selects."""
        return [row for row in list(self._sim.world.truth) if query.get("kind") in {None, row["kind"]}]

    async def calls(self, query: Body) -> Any:
        """Calls answered so far, counted by operation, with the latest of them."""
        rows = [row for row in list(self._sim.calls) if query.get("call") in {None, row["call"]}]
        limit = int(query.get("limit", 1000))
        return {
            "total": sum(Counter(self._sim.counts).values()),
            "by_operation": self._sim.counts,
            "calls": rows[-limit:],
        }

    async def faults(self, _query: Body) -> Any:
        """The faults in force, with how often each was met."""
        return [asdict(fault) for fault in self._sim.faults.active]

    # --- faults, time, rights ----------------------------------------------------

    async def fault(self, body: Body) -> Any:
        """Put a fault in force, or lift: `{"clear": true}` all, `{"clear": 3}` one."""
        clear = body.get("clear")
        if clear is not None:
            return {"lifted": self._sim.faults.remove(None if clear is True else int(clear))}
        return {"id": self._sim.faults.add(body).id}

    async def latency(self, body: Body) -> Any:
        """Seconds that each answer takes longer."""
        self._sim.latency = float(body["seconds"])
        return {"latency": self._sim.latency}

    async def clock(self, body: Body) -> Any:
        """Skew the simulated AWS's clock by `offset_seconds`."""
        self._sim.world.clock_offset = timedelta(seconds=float(body["offset_seconds"]))
        return {"now": self._sim.world.now().isoformat()}

    async def advisor(self, body: Body) -> Any:
        """Answer the Advisor's URL with `status` and `body`, or `{"reset": true}`."""
        override = None if body.get("reset") else (int(body.get("status", 200)), str(body.get("body", "")))
        self._sim.advisor_override = override
        return {}

    async def trust(self, body: Body) -> Any:
        """Make a role trust the daemon's account with this `external_id` (null: with any)."""
        return await self._sim.owned(self._trust, str(body["role_arn"]), body.get("external_id"), body.get("principal"))

    def _trust(self, role_arn: str, external_id: str | None, principal: str | None) -> Any:
        world = self._sim.world
        iam = world.moto.iam(role_arn.split(":")[4])
        role = {role.arn: role for role in iam.roles.values()}[role_arn]
        trusted = principal or f"arn:aws:iam::{world.hub.account_id}:root"
        role.assume_role_policy_document = json.dumps(trust_policy(trusted, external_id))
        return {}

    async def policy(self, body: Body) -> Any:
        """Give a role or user (`arn`) one inline policy (`document`), or none with null: then it may do everything."""
        return await self._sim.owned(self._policy, str(body["arn"]), body.get("document"))

    def _policy(self, arn: str, document: Any) -> Any:
        iam = self._sim.world.moto.iam(arn.split(":")[4])
        holder = {holder.arn: holder for holder in (*iam.roles.values(), *iam.users.values())}[arn]
        holder.policies.clear()
        if document is not None:
            holder.put_policy("control", json.dumps(document))
        return {}

    async def expire_sessions(self, _body: Body) -> Any:
        """End every role session now."""
        world = self._sim.world
        return {"expired": await self._sim.owned(world.identities.expire_sessions, world.now())}

    # --- instances and events ------------------------------------------------------

    async def interrupt(self, body: Body) -> Any:
        """Interrupt a Spot instance (`instance_id`, else any); the event that was sent."""
        instance_id = str(body.get("instance_id") or await self._sim.owned(self._any_spot))
        return await self._sim.owned(self._sim.director.interrupt, instance_id, str(body.get("action", "terminate")))

    async def rebalance(self, body: Body) -> Any:
        """Recommend to rebalance a Spot instance (`instance_id`, else any); the event that was sent."""
        instance_id = str(body.get("instance_id") or await self._sim.owned(self._any_spot))
        return await self._sim.owned(self._sim.director.rebalance, instance_id)

    def _any_spot(self) -> str:
        running = (
            str(instance.id)
            for _account, _region, instance in self._sim.world.instances()
            if instance.lifecycle == "spot" and instance.state == "running"
        )
        return min(running)

    async def launch(self, body: Body) -> Any:
        """Run `count` instances of `instance_type` in `account_id` and `region`; `spot`, `tags`, `zone` if wished."""
        return {"instance_ids": await self._sim.owned(self._launch, body)}

    def _launch(self, body: Body) -> list[str]:
        world, account_id, region = self._sim.world, str(body["account_id"]), str(body["region"])
        backend = world.ec2(account_id, region) or fresh_region(world, world.account(account_id), region)
        subnets = backend.get_default_subnets()
        instance_type = str(body["instance_type"])
        launched = launch(
            backend,
            image=body.get("image_id", LINUX_ARM if is_arm(instance_type) else LINUX),
            instance_type=instance_type,
            subnet_id=subnets[body.get("zone", min(subnets))].id,
            tags=body.get("tags", {}),
            spot=bool(body.get("spot")),
            count=int(body.get("count", 1)),
        )
        return [str(instance.id) for instance in launched]

    async def override(self, body: Body) -> Any:
        """From now on tell `fields` (DescribeInstances' names) of `instance_id` thus; null leaves a field out."""
        self._sim.world.overrides[str(body["instance_id"])] = dict(body["fields"])
        return {}

    async def terminate(self, body: Body) -> Any:
        """Terminate instances; with `forget` they vanish from listings at once (AWS shows them for an hour)."""
        return await self._sim.owned(self._change, "terminate", body)

    async def stop(self, body: Body) -> Any:
        """Stop instances."""
        return await self._sim.owned(self._change, "stop", body)

    async def start(self, body: Body) -> Any:
        """Start stopped instances."""
        return await self._sim.owned(self._change, "start", body)

    def _change(self, action: str, body: Body) -> Any:
        ids = body.get("instance_ids") or [body["instance_id"]]
        for instance_id in ids:
            _account, _region, instance = self._sim.world.find_instance(instance_id)
            getattr(instance, action)()
            if body.get("forget"):
                self._sim.director.forget(instance_id)
        return {"instance_ids": ids}

    async def event(self, body: Body) -> Any:
        """Put an event, as given, on the bus of its own account and region."""
        await self._sim.owned(self._sim.director.put, body)
        return {}

    async def message(self, body: Body) -> Any:
        """Put a raw text (`body`) into the daemon's queue: poison, if you like."""
        await self._sim.owned(self._message, str(body["body"]))
        return {}

    def _message(self, text: str) -> None:
        *_head, region, account_id, name = self._sim.world.queue_arn.split(":")
        self._sim.world.moto.of("sqs", account_id, region).send_message(name, text)


def _reader(read: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return _json(await read(dict(request.query)))

    return handle


def _writer(write: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return _json(await write(await request.json() if request.can_read_body else {}))
        except (KeyError, ValueError, TypeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)

    return handle


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, dumps=lambda item: json.dumps(item, default=str))
