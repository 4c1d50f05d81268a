"""The wire: a signed HTTP request becomes a `Call`, a result or a refusal becomes a body again."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4
from xml.sax.saxutils import escape

from spotd.sim import shapes
from spotd.sim.errors import ServiceError

_SCOPE = re.compile(r"Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
_CLASSIC_ELB = "2012-06-01"
_SERVICES = {"monitoring": "cloudwatch", "elasticloadbalancing": "elbv2"}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What arrived: method, path with query, headers in lower case, body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS call: who asks for which operation of which service, where, and with what."""

    service: str
    operation: str
    region: str
    access_key_id: str
    protocol: str
    request: HttpRequest
    account_id: str = ""
    caller_arn: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`ec2.DescribeInstances`."""
        return f"{self.service}.{self.operation}"

    def by(self, account_id: str, caller_arn: str) -> "Call":
        """The same call with its caller known."""
        return replace(self, account_id=account_id, caller_arn=caller_arn)

    def understood(self) -> "Call":
        """The same call with its parameters read after the service's model."""
        return replace(self, params=_params(self))


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: status, content type, body, and further headers."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def call_of(request: HttpRequest) -> Call | None:
    """The call that a signed request makes; None when it carries no AWS signature or names no operation."""
    scope = _SCOPE.search(request.headers.get("authorization", ""))
    if scope is None:
        return None
    access_key_id, _day, region, signed_for = scope.groups()
    service = _SERVICES.get(signed_for, signed_for)
    target = request.headers.get("x-amz-target")
    if target:
        return Call(service, target.rpartition(".")[2], region, access_key_id, "json", request)
    fields = form(request)
    if fields.get("Version") == _CLASSIC_ELB:
        service = "elb"
    protocol = "ec2" if service == "ec2" else "query"
    return Call(service, fields.get("Action", ""), region, access_key_id, protocol, request)


def form(request: HttpRequest) -> Mapping[str, str]:
    """The fields of a query-protocol request, from its body or its URL."""
    source = request.body.decode("utf-8", "replace") if request.method == "POST" else request.query
    return dict(parse_qsl(source, keep_blank_values=True))


def _params(call: Call) -> Mapping[str, Any]:
    if call.protocol == "json":
        return dict(json.loads(call.request.body or b"{}"))
    shape = shapes.service_model(call.service).operation_model(call.operation).input_shape
    if shape is None:
        return {}
    return dict(shapes.decode(shape, shapes.nested(form(call.request)), ec2=call.protocol == "ec2"))


def success(call: Call, result: Mapping[str, Any]) -> Reply:
    """An operation's result (boto3's names) in the call's protocol."""
    if call.protocol == "json":
        return Reply(200, "application/x-amz-json-1.1", json.dumps(result).encode())
    model = shapes.service_model(call.service)
    inner = shapes.xml_encoder(call.service, call.operation)(result)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{call.operation}Response xmlns="{_namespace(model)}">'
    if call.protocol == "ec2":
        text = f"{head}<requestId>{uuid4()}</requestId>{inner}</{call.operation}Response>"
    else:
        output = model.operation_model(call.operation).output_shape
        wrapper = output.serialization.get("resultWrapper", f"{call.operation}Result") if output is not None else ""
        inner = f"<{wrapper}>{inner}</{wrapper}>" if wrapper else inner
        text = f"{head}{inner}<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata></{call.operation}Response>"
    return Reply(200, "text/xml;charset=UTF-8", text.encode("utf-8", "replace"))


def prepare_answer(service: str, operation: str) -> None:
    """Load and compile what `success` needs, so that no caller waits for it."""
    if shapes.service_model(service).protocol != "json":
        shapes.xml_encoder(service, operation)


def _namespace(model: Any) -> str:
    version = model.api_version
    return str(model.metadata.get("xmlNamespace") or f"http://{model.endpoint_prefix}.amazonaws.com/doc/{version}")


def failure(call: Call, error: ServiceError) -> Reply:
    """A refusal in the call's protocol."""
    request_id = str(uuid4())
    if call.protocol == "json":
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": error.code}
        return Reply(error.status, "application/x-amz-json-1.1", body, headers)
    detail = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if call.protocol == "ec2":
        text = f"<Response><Errors><Error>{detail}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        blame = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004 - the border AWS draws in HTTP
        text = (
            f"<ErrorResponse><Error><Type>{blame}</Type>{detail}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return Reply(error.status, "text/xml;charset=UTF-8", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())
