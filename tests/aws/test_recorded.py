import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws.recorded import NOT_USED, READERS, Report, parse_recorded

OWNER = "123456789012"


def described(**changes: Any) -> dict[str, Any]:
    instance = {
        "InstanceId": "i-0123456789abcdef0",
        "InstanceType": "m5.large",
        "State": {"Code": 16, "Name": "running"},
        "Placement": {"AvailabilityZone": "eu-west-1b", "Tenancy": "default"},
        "LaunchTime": "2026-01-02T03:04:05+00:00",
        "Tags": [{"Key": "aws:autoscaling:groupName", "Value": "web"}],
    }
    return {"Reservations": [{"OwnerId": OWNER, "Instances": [instance | changes]}]}


def pointers(report: Report) -> list[str]:
    return [refusal.pointer for refusal in report.refused]


@pytest.mark.parametrize("operation", ["DescribeInstances", "ec2.DescribeInstances", "ec2:DescribeInstances"])
def test_an_instance_is_read_as_live(operation: str) -> None:
    """A recorded instance becomes the model's, its account and region told by the recording."""
    report = parse_recorded(operation, json.dumps(described()))
    (row,) = report.understood

    assert (report.operation, report.rows, report.refused) == ("DescribeInstances", 1, ())
    assert (row["account_id"], row["region"], row["asg_name"], row["state"]) == (OWNER, "eu-west-1", "web", "running")
    assert row["launched_at"] == "2026-01-02T03:04:05Z"


def test_placebo() -> None:
    """Placebo's envelope and its datetimes are taken off."""
    moment = {"__class__": "datetime", "year": 2026, "month": 1, "day": 2, "hour": 3, "minute": 4, "second": 5}
    report = parse_recorded("DescribeInstances", {"status_code": 200, "data": described(LaunchTime=moment)})

    assert report.understood[0]["launched_at"] == "2026-01-02T03:04:05Z"
    assert report.refused == ()


def test_a_recorded_error_is_refused() -> None:
    """A recording of an error has no rows and says so."""
    report = parse_recorded("DescribeInstances", {"status_code": 403, "data": {"Error": {"Code": "AccessDenied"}}})
    assert (report.rows, pointers(report)) == (0, ["/status_code"])


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"InstanceId": None}, "/InstanceId"),
        ({"InstanceType": 5}, "/InstanceType"),
        ({"State": {"Name": "melting"}}, "/State/Name"),
        ({"Placement": {}}, "/Placement/AvailabilityZone"),
        ({"Placement": {"AvailabilityZone": "moon"}}, "/Placement/AvailabilityZone"),
    ],
)
def test_a_row_without_what_it_must_have_is_refused(changes: dict[str, Any], pointer: str) -> None:
    """A required field that is missing or wrong refuses its row, with the pointer from the answer's root."""
    report = parse_recorded("DescribeInstances", described(**changes))

    assert (report.rows, report.understood) == (1, ())
    assert pointers(report) == [f"/Reservations/0/Instances/0{pointer}"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"LaunchTime": "yesterday"}, "/LaunchTime"),
        ({"LaunchTime": {"__class__": "datetime", "year": 2026, "month": 13, "day": 1}}, "/LaunchTime"),
        ({"Tags": {"Name": "x"}}, "/Tags"),
        ({"Tags": [{"Value": "x"}]}, "/Tags"),
        ({"EnaSupport": "true"}, "/EnaSupport"),
        ({"Placement": {"AvailabilityZone": "eu-west-1b", "Tenancy": 1}}, "/Placement/Tenancy"),
        ({"BlockDeviceMappings": "vol-1"}, "/BlockDeviceMappings"),
    ],
)
def test_an_odd_optional_field_is_refused_alone(changes: dict[str, Any], pointer: str) -> None:
    """An optional field of another shape is told, and its row understood without it."""
    report = parse_recorded("DescribeInstances", described(**changes))

    assert len(report.understood) == 1
    assert pointers(report) == [f"/Reservations/0/Instances/0{pointer}"]


def test_one_bad_row_harms_no_other() -> None:
    """Rows are read one by one, and a reservation that is none is refused as one."""
    answer = described()
    answer["Reservations"] += [7, {"OwnerId": OWNER}, {"Instances": [{}]}, *described()["Reservations"]]
    report = parse_recorded("DescribeInstances", answer)

    assert (report.rows, len(report.understood)) == (5, 2)
    assert [pointer.split("/")[2] for pointer in pointers(report)] == ["1", "2", "3"]


def test_run_instances() -> None:
    """A launch's answer is one reservation, read by the same converter."""
    report = parse_recorded("RunInstances", described()["Reservations"][0])
    assert report.understood[0]["instance_id"] == "i-0123456789abcdef0"


@pytest.mark.parametrize("operation", ["DescribeVolumes", "StopInstances", "health.DescribeEvents", "", "…"])
def test_an_operation_without_a_home_is_refused_as_a_whole(operation: str) -> None:
    """An answer the model has no home for is refused with a reason, not half understood."""
    report = parse_recorded(operation, {"Volumes": []})
    assert (report.rows, report.understood, [refusal.detail for refusal in report.refused]) == (0, (), [NOT_USED])


@pytest.mark.parametrize("document", [b"", b"[", b"[]", b"7", "x", None, {}, {"Reservations": {}}, b"[" * 10_000])
def test_what_is_no_answer_is_refused(document: object) -> None:
    """A body without the operation's list is refused as a whole."""
    report = parse_recorded("DescribeInstances", document)
    assert (report.rows, len(report.refused)) == (0, 1)


PRODUCT = {
    "product": {
        "attributes": {
            "regionCode": "us-east-1",
            "instanceType": "m5.large",
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "capacitystatus": "Used",
            "preInstalledSw": "NA",
        }
    },
    "publicationDate": "2021-02-05T20:45:00Z",
    "terms": {"OnDemand": {"a": {"priceDimensions": {"b": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0960000000"}}}}}},
}


def test_products() -> None:
    """A price list, of texts or decoded, and one product alone give on-demand prices of their publication."""
    for answer in (PRODUCT, {"PriceList": [PRODUCT]}, {"PriceList": [json.dumps(PRODUCT)]}):
        (row,) = parse_recorded("GetProducts", answer).understood
        assert (row["micros"], row["product"], row["observed_at"]) == (96_000, "Linux/UNIX", "2021-02-05T20:45:00Z")


def test_a_product_without_a_price_is_refused() -> None:
    """A product of another tenancy, or without an hourly price, is told with the field that says so."""
    answer = {"PriceList": [PRODUCT | {"terms": {}}, "{", 7]}
    report = parse_recorded("GetProducts", answer)
    assert pointers(report) == ["/PriceList/0/terms/OnDemand", "/PriceList/1", "/PriceList/2"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = [
    "Placement", "State", "InstanceId", "InstanceType", "LaunchTime", "Tags", "OwnerId", "Name", "AvailabilityZone",
    "NetworkInfo", "NetworkCards", "BaselineBandwidthInGbps", "VCpuInfo", "DefaultVCpus", "MemoryInfo", "SizeInMiB",
    "SpotPrice", "Timestamp", "ProductDescription", "product", "attributes", "terms", "OnDemand", "Key", "__class__",
    "year", "publicationDate",
]  # fmt: skip
answers = st.recursive(
    json_values | st.sampled_from(["eu-west-1b", "m5.large", "running", OWNER, "0.1", "1e999999", "datetime"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=16,
)
LISTS = ["Reservations", "Instances", "InstanceTypes", "SpotPriceHistory", "PriceList"]


@given(
    st.sampled_from(sorted(READERS)),
    json_values
    | st.dictionaries(st.sampled_from([*LISTS, "OwnerId", "data"]), st.lists(answers, max_size=3) | answers),
)
def test_no_recording_raises(operation: str, document: object) -> None:
    """Whatever a recording holds, each row is understood or refused with a pointer."""
    report = parse_recorded(operation, document)

    assert len(report.understood) <= report.rows
    assert len(report.understood) + len(report.refused) >= report.rows
    assert all(refusal.pointer == "" or refusal.pointer.startswith("/") for refusal in report.refused)


HOMES = {"DescribeInstances", "RunInstances", "DescribeInstanceTypes", "GetProducts"}


def test_the_recorded_samples(data: Path) -> None:
    """Each recorded answer is understood whole where the model has a home for it, and refused with the reason else."""
    with (data / "api_samples" / "index.csv").open() as index:
        samples = [(row["file"], row["operation"]) for row in csv.DictReader(index)]

    for name, operation in samples:
        report = parse_recorded(operation, (data / "api_samples" / name).read_bytes())
        if operation.partition(".")[2] in HOMES:
            assert (len(report.understood), report.refused) == (report.rows, ()), name
            assert report.rows > 0
        else:
            assert [refusal.detail for refusal in report.refused] == [NOT_USED], name


def test_recorded_spot_prices(data: Path) -> None:
    """Each recorded price change is understood to the micro-dollar; those without a zone are refused for that alone."""
    body = (data / "spot_price_history.csv.gz").read_bytes()
    with gzip.open(data / "spot_price_history.csv.gz", "rt") as lines:
        rows = [row for row in csv.DictReader(lines) if row["az"]]
    report = parse_recorded("DescribeSpotPriceHistory", body)

    assert [row["micros"] for row in report.understood] == [round(Decimal(row["usd_per_hour"]) * 10**6) for row in rows]
    assert [row["region"] for row in report.understood] == [row["region"] for row in rows]
    assert {refusal.pointer.rpartition("/")[2] for refusal in report.refused} == {"AvailabilityZone"}


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"{")[:-4], gzip.compress(b"{"), b"\x1f\x8bno", b"region,az,\n\0,\r\n"],
    ids=["cut gzip", "gzip of no JSON", "no gzip", "no CSV"],
)
def test_a_broken_file_is_refused(body: bytes) -> None:
    """A recording that was cut or is no gzip, JSON or CSV is refused, not raised."""
    report = parse_recorded("DescribeSpotPriceHistory", body)
    assert not report.understood
    assert report.refused
