"""A small, fast AWS for benches, in a process of its own: it answers from rendered text and computes nothing.

An access key id tells the account (`AKIA` + 12 digits + `0000`), so any number of accounts needs no set-up.
usage: fake_aws.py [--instances N] [--delay SECONDS] [--port P]; prints its address once it serves. Without --port it ends
when its standard input closes, that is, with whoever started it.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
"""The regions that every account has enabled."""
TYPE = "m5.large"
SIGNED = re.compile(r"Credential=AKIA(?P<account>\d{12})\w*/\d{8}/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request")
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
STARTED = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00.000Z")

Reply = tuple[str, str]
"""A body and its content type."""


class Asked(NamedTuple):
    """One request: whose, where, what, and its body."""

    account: str
    region: str
    action: str
    body: str


def key_of(account_id: str) -> str:
    """Return the access key id that this AWS takes for an account's."""
    return f"AKIA{account_id}0000"


def ec2(action: str, inner: str) -> Reply:
    """Return an EC2 answer."""
    return f'<{action}Response xmlns="{EC2}"><requestId>r</requestId>{inner}</{action}Response>', "text/xml"


def query(action: str, inner: str = "") -> Reply:
    """Return an answer of the query protocol (STS, CloudWatch, load balancers)."""
    result = f"<{action}Result>{inner}</{action}Result>"
    metadata = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
    return f"<{action}Response>{result}{metadata}</{action}Response>", "text/xml"


def identity(asked: Asked) -> Reply:
    """Return whose the key is."""
    arn = f"<Arn>arn:aws:iam::{asked.account}:user/bench</Arn><UserId>AIDABENCH</UserId>"
    return query(asked.action, f"{arn}<Account>{asked.account}</Account>")


def regions(asked: Asked) -> Reply:
    """Return the regions, all enabled."""
    item = "<item><regionName>{0}</regionName><regionEndpoint>ec2.{0}.amazonaws.com</regionEndpoint><optInStatus>opt-in-not-required</optInStatus></item>"
    return ec2(asked.action, f"<regionInfo>{''.join(item.format(region) for region in REGIONS)}</regionInfo>")


def zones(asked: Asked) -> Reply:
    """Return three zones of the region."""
    item = "<item><zoneName>{0}{1}</zoneName><zoneId>{0}-az{1}</zoneId><regionName>{0}</regionName></item>"
    listed = "".join(item.format(asked.region, zone) for zone in "abc")
    return ec2(asked.action, f"<availabilityZoneInfo>{listed}</availabilityZoneInfo>")


@cache
def instances(account: str, region: str, count: int) -> Reply:
    """Return one page with `count` running instances, each in a reservation of its own."""
    listed = "".join(reservation(account, region, number) for number in range(count))
    return ec2("DescribeInstances", f"<reservationSet>{listed}</reservationSet>")


def reservation(account: str, region: str, number: int) -> str:
    """Return one running instance in its reservation."""
    instance = f"i-{REGIONS.index(region):02x}{int(account) % 0xFFFFFF:06x}{number:09x}"
    tags = {"Name": f"bench-{number}", "spotd:managed": "true"}
    tagged = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in tags.items())
    return (
        f"<item><reservationId>r-{number:017x}</reservationId><ownerId>{account}</ownerId><instancesSet><item>"
        f"<instanceId>{instance}</instanceId><imageId>ami-0123456789abcdef0</imageId><instanceType>{TYPE}</instanceType>"
        f"<instanceState><code>16</code><name>running</name></instanceState><launchTime>{STARTED}</launchTime>"
        f"<placement><availabilityZone>{region}a</availabilityZone><tenancy>default</tenancy></placement>"
        f"<architecture>x86_64</architecture><virtualizationType>hvm</virtualizationType><enaSupport>true</enaSupport>"
        f"<rootDeviceType>ebs</rootDeviceType><platformDetails>Linux/UNIX</platformDetails><tagSet>{tagged}</tagSet>"
        "</item></instancesSet></item>"
    )


def instance_types(asked: Asked) -> Reply:
    """Return the one type there is."""
    return ec2(
        asked.action,
        f"<instanceTypeSet><item><instanceType>{TYPE}</instanceType><currentGeneration>true</currentGeneration>"
        "<supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>"
        "<supportedVirtualizationTypes><item>hvm</item></supportedVirtualizationTypes><hypervisor>nitro</hypervisor>"
        "<processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo>"
        "<vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo>"
        "<networkInfo><enaSupport>required</enaSupport></networkInfo></item></instanceTypeSet>",
    )


def spot_prices(asked: Asked) -> Reply:
    """Return one price in each of three zones."""
    item = (
        f"<item><instanceType>{TYPE}</instanceType><productDescription>Linux/UNIX</productDescription>"
        f"<spotPrice>0.0400</spotPrice><timestamp>{STARTED}</timestamp><availabilityZone>{asked.region}%s</availabilityZone></item>"
    )
    return ec2(asked.action, f"<spotPriceHistorySet>{''.join(item % az for az in 'abc')}</spotPriceHistorySet>")


def on_demand_price(asked: Asked) -> Reply:
    """Return the price of the one type for Linux in the region that the filters name."""
    wanted = {each["Field"]: each["Value"] for each in json.loads(asked.body).get("Filters", [])}
    attributes = {
        "instanceType": TYPE,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "regionCode": wanted.get("regionCode", "us-east-1"),
    }
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": "0.0960000000"}, "beginRange": "0", "endRange": "Inf"}
    terms = {"OnDemand": {"T": {"priceDimensions": {"T.H": dimension}, "termAttributes": {}}}}
    product = {"productFamily": "Compute Instance", "attributes": attributes, "sku": "S"}
    listed = json.dumps({"product": product, "serviceCode": "AmazonEC2", "terms": terms})
    return json.dumps({"FormatVersion": "aws_v1", "PriceList": [listed]}), "application/x-amz-json-1.1"


def cpu(asked: Asked) -> Reply:
    """Return one value for each metric asked for."""
    ids = re.findall(r"MetricDataQueries\.member\.\d+\.Id=([\w-]+)", asked.body)
    point = f"<Timestamps><member>{STARTED}</member></Timestamps><Values><member>12.5</member></Values>"
    item = f"<member><Id>%s</Id><Label>CPUUtilization</Label>{point}<StatusCode>Complete</StatusCode></member>"
    return query(asked.action, f"<MetricDataResults>{''.join(item % each for each in ids)}</MetricDataResults>")


def target_groups(asked: Asked) -> Reply:
    """Return that there are no load balancers."""
    return query(asked.action, "<TargetGroups/>")


RENDERERS: dict[str, Callable[[Asked], Reply]] = {
    "GetCallerIdentity": identity,
    "DescribeRegions": regions,
    "DescribeAvailabilityZones": zones,
    "DescribeInstanceTypes": instance_types,
    "DescribeSpotPriceHistory": spot_prices,
    "DescribeTargetGroups": target_groups,
    "GetMetricData": cpu,
    "GetProducts": on_demand_price,
}


def advisor() -> str:
    """Return a Spot Advisor feed in its published shape."""
    labels = ("<5%", "5-10%", "10-15%", "15-20%", ">20%")
    ranges = [{"index": n, "label": label, "dots": n, "max": 5 * n + 5} for n, label in enumerate(labels)]
    rates = {region: {"Linux": {TYPE: {"s": 60, "r": 0}}} for region in REGIONS}
    types = {TYPE: {"emr": True, "cores": 2, "ram_gb": 8.0}}
    return json.dumps({"global_rate": "<10%", "ranges": ranges, "instance_types": types, "spot_advisor": rates})


def understood(request: web.Request, body: str) -> Asked | None:
    """Return what a request asks for; None if it is not signed."""
    signed = SIGNED.search(request.headers.get("Authorization", ""))
    if signed is None:
        return None
    target = request.headers.get("X-Amz-Target")
    action = target.rpartition(".")[2] if target else parse_qs(body)["Action"][0]
    return Asked(signed["account"], signed["region"], action, body)


def create_app(*, count: int, delay: float) -> web.Application:
    """Return the server: `count` instances in each region of each account, `delay` seconds before each answer."""

    async def answer(request: web.Request) -> web.Response:
        asked = understood(request, await request.text())
        if asked is None:
            return web.Response(status=403, text="not signed")
        await asyncio.sleep(delay)
        if asked.action == "DescribeInstances":
            text, kind = instances(asked.account, asked.region, count)
        elif asked.action in RENDERERS:
            text, kind = RENDERERS[asked.action](asked)
        else:
            return web.Response(status=400, text=f"no bench has needed {asked.action} yet")
        return web.Response(text=text, content_type=kind)

    async def feed(_request: web.Request) -> web.Response:
        return web.Response(text=advisor(), content_type="application/json")

    app = web.Application()
    app.router.add_post("/", answer)
    app.router.add_get("/spot-advisor-data.json", feed)
    return app


async def serve(app: web.Application, port: int) -> None:
    """Serve on 127.0.0.1, on a free port for 0."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    try:
        await (asyncio.Event().wait() if port else asyncio.to_thread(sys.stdin.read))
    finally:
        await runner.cleanup()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description="A small, fast AWS for benches.")
    parser.add_argument("--instances", type=int, default=2, help="running instances in each region of each account")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=0, help="port to serve on until ended by a signal")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(create_app(count=options.instances, delay=options.delay), options.port))


if __name__ == "__main__":
    main()
