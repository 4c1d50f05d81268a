"""The documents account owners create spotd's role from."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spotd.aws.operations import FETCH, OPERATIONS, Capability
from spotd.aws.policies import own_policy, permission_policy, policies_for, terraform, trust_policy
from spotd.errors import InvalidInput

ROLE = "arn:aws:sts::999999999999:assumed-role/spotd/i-0123"
USER = "arn:aws:iam::999999999999:user/spotd"
CALLED = re.compile(r'"(ec2|elbv2|cloudwatch|pricing|sts|sqs)",\s*(?:[\w.]+,\s*)?"([A-Z]\w+)"')
READS = re.compile(r":(Describe|Get|List)[A-Z]")


def actions() -> set[str]:
    """Return every action of the permission policy."""
    return {action for statement in permission_policy()["Statement"] for action in statement["Action"]}


def test_every_call_in_the_code_is_in_the_table_and_no_other(repository: Path) -> None:
    """The table the policy is made from is what the code sends, found by reading the code."""
    sources = [path for path in (repository / "spotd" / "aws").rglob("*.py") if path.name != "operations.py"]
    called = {match for path in sources for match in CALLED.findall(path.read_text())}
    assert called == OPERATIONS.keys()


def test_the_policy_allows_what_is_called_in_an_account_and_only_reads() -> None:
    """Each action reads, each is called, and none of the daemon's own queues or STS is among them."""
    asked = {each for each in FETCH if each.capability not in {Capability.IDENTITY, Capability.QUEUE}}
    assert actions() == {each.action for each in asked}
    assert all(READS.search(action) for action in actions())


def test_load_balancers_have_the_name_iam_gives_them() -> None:
    """IAM's name of a service is not always the API's."""
    assert "elasticloadbalancing:DescribeTargetHealth" in actions()
    assert not {action for action in actions() if action.startswith("elbv2")}


def test_only_the_daemons_identity_with_the_external_id_is_trusted() -> None:
    """A user is named as it is."""
    [statement] = trust_policy(external_id="x-1", daemon_arn=USER)["Statement"]
    assert statement["Principal"] == {"AWS": USER}
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "x-1"}}


def test_a_role_is_trusted_by_its_name_whatever_its_path() -> None:
    """STS does not tell a role's path, so a condition narrows the account to the role."""
    [statement] = trust_policy(external_id="x-1", daemon_arn=ROLE)["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::999999999999:root"}
    assert statement["Condition"]["ArnLike"] == {
        "aws:PrincipalArn": ["arn:aws:iam::999999999999:role/spotd", "arn:aws:iam::999999999999:role/*/spotd"]
    }
    assert statement["Condition"]["StringEquals"] == {"sts:ExternalId": "x-1"}


@pytest.mark.parametrize("arn", ["", "spotd", "arn:aws:iam", "own"])
def test_nobody_is_trusted_by_accident(arn: str) -> None:
    """What is no identity makes no policy."""
    with pytest.raises(InvalidInput):
        trust_policy(external_id="x-1", daemon_arn=arn)


def test_the_cloudformation_template_passes_the_linter(tmp_path: Path) -> None:
    """Without errors, warnings or hints, whoever the daemon is, and with the same two documents inside."""
    for name, arn in {"role": ROLE, "user": USER}.items():
        documents = policies_for(external_id="x-1", daemon_arn=arn)
        (tmp_path / f"{name}.json").write_text(documents.cloudformation)
        role = json.loads(documents.cloudformation)["Resources"]["SpotdRole"]["Properties"]
        assert role["AssumeRolePolicyDocument"] == documents.trust
        assert role["Policies"][0]["PolicyDocument"] == documents.permissions
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--include-checks", "I", "--"]
    linted = subprocess.run(
        [*command, *tmp_path.glob("*.json")], capture_output=True, text=True, check=False, timeout=100
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_the_terraform_holds_both_documents_as_json() -> None:
    """What stands between the heredoc's marks is the policy, unchanged."""
    documents = policies_for(external_id="x-1", daemon_arn=ROLE)
    inside = re.findall(r"<<-JSON\n(.*?)\nJSON", documents.terraform, re.DOTALL)
    assert [json.loads(each) for each in inside] == [documents.trust, documents.permissions]


def test_terraform_does_not_take_a_policy_variable_for_its_own() -> None:
    """`${` is escaped."""
    assert "$${aws:username}" in terraform({"Resource": "${aws:username}"}, {})


def test_the_daemons_own_policy_is_roles_and_queues() -> None:
    """It may assume the accounts' roles and take messages off its queues, nothing else."""
    document = own_policy(role_arns=("arn:aws:iam::1:role/x",), queue_arns=("arn:aws:sqs:eu-west-1:9:q",))
    assert [(each["Sid"], each["Action"]) for each in document["Statement"]] == [
        ("Accounts", ["sts:AssumeRole"]),
        ("Queues", ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]),
    ]
    assert own_policy(role_arns=())["Statement"] == []
