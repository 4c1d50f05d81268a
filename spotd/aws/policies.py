"""The documents an account's owner creates spotd's role from, generated from the calls the code makes."""

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from spotd.aws.operations import FETCH, Capability
from spotd.errors import InvalidInput

VERSION: Final = "2012-10-17"
ROLE_NAME: Final = "spotd-discover"
ASKED_OF_ACCOUNTS: Final = (Capability.INVENTORY, Capability.MARKET, Capability.METRICS)
Document = Mapping[str, Any]


class Policies(Struct, frozen=True, kw_only=True):
    """Who may use the role, what it may do, and both as templates that create it."""

    trust: Document
    permissions: Document
    cloudformation: str
    terraform: str


def policies_for(*, external_id: str, daemon_arn: str) -> Policies:
    """Return the documents for one account; `daemon_arn` is what STS calls the daemon. Raises InvalidInput."""
    trust, permissions = trust_policy(external_id=external_id, daemon_arn=daemon_arn), permission_policy()
    return Policies(
        trust=trust,
        permissions=permissions,
        cloudformation=cloudformation(trust, permissions),
        terraform=terraform(trust, permissions),
    )


def permission_policy() -> Document:
    """Return what the role may do: the operations spotd calls in an account, one statement for each capability.

    None of these operations can be narrowed to a resource (AWS's service authorization reference).
    """
    return {"Version": VERSION, "Statement": [_allow(each) for each in ASKED_OF_ACCOUNTS]}


def trust_policy(*, external_id: str, daemon_arn: str) -> Document:
    """Return who may assume the role: this daemon's identity, with this ExternalId. Raises InvalidInput."""
    principal, conditions = _principal(daemon_arn)
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "Spotd",
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}, **conditions},
            }
        ],
    }


def own_policy(*, role_arns: tuple[str, ...], queue_arns: tuple[str, ...] = ()) -> Document:
    """Return what the daemon's own identity needs: to assume the accounts' roles and to read its queues."""
    statements = [_statement("Accounts", ["sts:AssumeRole"], list(role_arns))] if role_arns else []
    if queue_arns:
        statements.append(_statement("Queues", _actions(Capability.QUEUE), list(queue_arns)))
    return {"Version": VERSION, "Statement": statements}


def cloudformation(trust: Document, permissions: Document) -> str:
    """Return the role as a CloudFormation template (JSON)."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The role spotd reads this account with.",
        "Resources": {
            "SpotdRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": ROLE_NAME,
                    "Description": "spotd reads instances, prices and metrics",
                    "MaxSessionDuration": 3600,
                    "AssumeRolePolicyDocument": trust,
                    "Policies": [{"PolicyName": ROLE_NAME, "PolicyDocument": permissions}],
                },
            }
        },
        "Outputs": {"RoleArn": {"Description": "Give this to spotd", "Value": {"Fn::GetAtt": ["SpotdRole", "Arn"]}}},
    }
    return json.dumps(template, indent=2)


def terraform(trust: Document, permissions: Document) -> str:
    """Return the role as Terraform (HCL)."""
    return f"""resource "aws_iam_role" "spotd" {{
  name                 = "{ROLE_NAME}"
  description          = "spotd reads instances, prices and metrics"
  max_session_duration = 3600
  assume_role_policy   = {_heredoc(trust)}
}}

resource "aws_iam_role_policy" "spotd" {{
  name   = "{ROLE_NAME}"
  role   = aws_iam_role.spotd.id
  policy = {_heredoc(permissions)}
}}

output "role_arn" {{
  description = "Give this to spotd"
  value       = aws_iam_role.spotd.arn
}}
"""


def _allow(capability: Capability) -> Document:
    return _statement(capability.value.capitalize(), _actions(capability), "*")


def _statement(sid: str, actions: list[str], resource: str | list[str]) -> Document:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _actions(capability: Capability) -> list[str]:
    return sorted({operation.action for operation in FETCH if operation.capability is capability})


def _principal(daemon_arn: str) -> tuple[str, Document]:
    """Return the principal and the conditions that name the daemon.

    STS tells the session of a role, not the role with its path, and IAM refuses a wildcard in a principal: so the
    account is the principal and a condition names the role, whatever its path.
    """
    parts = daemon_arn.split(":", 5)
    if len(parts) != ARN_PARTS or parts[0] != "arn":
        raise InvalidInput(f"not an identity's ARN: {daemon_arn!r}")
    _, partition, _, _, account_id, resource = parts
    kind, _, rest = resource.partition("/")
    if kind != "assumed-role":
        return daemon_arn, {}
    iam, role = f"arn:{partition}:iam::{account_id}", rest.split("/")[0]
    return f"{iam}:root", {"ArnLike": {"aws:PrincipalArn": [f"{iam}:role/{role}", f"{iam}:role/*/{role}"]}}


ARN_PARTS: Final = 6


def _heredoc(document: Document) -> str:
    """A heredoc keeps JSON as it is, but `${` would be read as Terraform's own."""
    text = json.dumps(document, indent=2).replace("${", "$${")
    return f"<<-JSON\n{text}\nJSON"
