"""Alibaba Cloud's official clients behind one verb, `ask`: names and values go in and come out as
the vendor's pages write them, whatever each client calls them."""

import asyncio
import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import alibabacloud_resourcedirectorymaster20220419 as newer
import alibabacloud_resourcemanager20200331 as older
from alibabacloud_tea_openapi.client import Client as TeaCore
from alibabacloud_tea_openapi.exceptions import (
    AlibabaCloudException,
    ClientException,
    ServerException,
    ThrottlingException,
)
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from aliyunsdkcore.acs_exception.exceptions import ServerException as LegacyException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from darabonba.runtime import RuntimeOptions

from tests.node_clients import Node, NodeFailed

NEWER, OLDER = "2022-04-19", "2020-03-31"
SEND_RD = "SendVerificationCodeForEnableRD"
SEND_BIND = "SendVerificationCodeForBindSecureMobilePhone"
ENABLE, BIND = "EnableResourceDirectory", "BindSecureMobilePhone"
Made = dict[str, str]
"""An account's key, as our commands print it: ak, sk, and where it is temporary security_token."""


class Refusal(NamedTuple):
    """What a program can read of an error, whatever its client."""

    status: int
    code: str
    message: str
    request_id: str


NOT_REFUSED = Refusal(200, "OK", "", "")


class Client(Protocol):
    """One who calls by one of the vendor's clients."""

    version: str

    def ask(self, action: str, **parameters: str) -> dict[str, Any]: ...

    def refusal(self, action: str, **parameters: str) -> Refusal:
        """How a call is refused; NOT_REFUSED where it is not."""
        ...


class Tea:
    """The product's own newer Python client, of one edition, with typed requests."""

    def __init__(
        self, made: Made, endpoint: str, *, product: Any = newer, signature: str | None = None
    ) -> None:
        self.version = NEWER if product is newer else OLDER
        self._models = import_module(f"{product.__name__}.models")
        client = import_module(f"{product.__name__}.client").Client
        self._client = client(tea_config(made, endpoint, signature_algorithm=signature))

    def ask(self, action, **parameters):
        answer = self._call(_snake(action), *self._typed(action, parameters))
        assert answer.status_code == 200
        return dict(answer.body.to_map())

    def refusal(self, action, **parameters):
        try:
            self.ask(action, **parameters)
        except AlibabaCloudException as raised:
            return shown_by_tea(raised)
        return NOT_REFUSED

    def _call(self, name, *request):
        return getattr(self._client, name)(*request)

    def _typed(self, action, parameters):
        """Its only argument; GetResourceDirectory has none."""
        if hasattr(self._models, f"{action}Request"):
            yield getattr(self._models, f"{action}Request")().from_map(parameters)


class AsyncTea(Tea):
    """The same, in a program that uses asyncio: other HTTP underneath."""

    def _call(self, name, *request):
        return asyncio.run(getattr(self._client, f"{name}_async")(*request))


class Core:
    """The newer Python client for any operation, whether or not it has a class."""

    version = NEWER

    def __init__(self, made: Made, endpoint: str, **config: Any) -> None:
        self._client = TeaCore(tea_config(made, endpoint, **config))

    def ask(self, action, **parameters):
        return self.call(action, query=parameters)

    def refusal(self, action, **parameters):
        return self.refused(action, query=parameters)

    def call(
        self,
        action: str,
        version: str = NEWER,
        *,
        method: str = "POST",
        auth: str = "AK",
        kind: str = "formData",
        **travels: Any,
    ) -> dict[str, Any]:
        """With parameters, headers and body as they are to travel."""
        operation = Params(
            action=action, version=version, protocol="HTTP", pathname="/", method=method,
            auth_type=auth, style="RPC", req_body_type=kind, body_type="json",
        )  # fmt: skip
        request = OpenApiRequest(**{"query": {}, "headers": {}, **travels})
        return dict(self._client.call_api(operation, request, RuntimeOptions())["body"])

    def refused(self, action: str, *more: str, **travels: Any) -> Refusal:
        try:
            self.call(action, *more, **travels)
        except AlibabaCloudException as raised:
            return shown_by_tea(raised)
        return NOT_REFUSED


class FormCore(Core):
    """The same with everything in a form, which its users may choose."""

    def ask(self, action, **parameters):
        return self.call(action, body=parameters)

    def refusal(self, action, **parameters):
        return self.refused(action, body=parameters)


class Legacy:
    """The older Python client, which names the operation itself."""

    version = NEWER

    def __init__(self, made: Made, endpoint: str, *, method: str = "GET", form: bool = False):
        self._endpoint, self._method, self._form = endpoint, method, form
        self.client = _legacy(made)

    def ask(self, action, **parameters):
        return dict(json.loads(self.does(self.asks(action, parameters))))

    def refusal(self, action, **parameters):
        return self.refused(self.asks(action, parameters))

    def does(self, request: Any) -> Any:
        """The body of what a request is answered, read as little as this client reads it."""
        try:
            return self.client.do_action_with_exception(request)
        finally:
            self.client.session.close()  # a refusal keeps it open, by way of its traceback

    def refused(self, request: Any) -> Refusal:
        try:
            self.does(request)
        except LegacyException as raised:
            return Refusal(
                raised.get_http_status(),
                raised.get_error_code(),
                raised.get_error_msg(),
                raised.get_request_id(),
            )
        return NOT_REFUSED

    def asks(self, action: str, parameters: dict[str, str]) -> Any:
        """The request of one call."""
        request = CommonRequest(domain=self._endpoint, version=self.version, action_name=action)
        request.set_protocol_type("http")
        request.set_method(self._method)
        for name, value in parameters.items():
            (request.add_body_params if self._form else request.add_query_param)(name, value)
        return request


class LegacyTyped(Legacy):
    """The older Python client, with the typed requests of the 2020 edition."""

    version = OLDER

    def asks(self, action, parameters):
        module = f"aliyunsdkresourcemanager.request.v20200331.{action}Request"
        request = getattr(import_module(module), f"{action}Request")()
        request.set_endpoint(self._endpoint)
        request.set_protocol_type("http")
        for name, value in parameters.items():
            getattr(request, f"set_{name}")(value)
        return request


class NodeClient:
    """What the clients of Node have in common: they run in a process beside this one."""

    version = NEWER

    def __init__(self, made: Made, endpoint: str, node: Node, **usual: Any) -> None:
        self._node, self._endpoint, self._usual = node, endpoint, usual
        self._key = {"ak": made["ak"], "sk": made["sk"]}
        if "security_token" in made:
            self._key["securityToken"] = made["security_token"]

    def ask(self, action, **parameters):
        return dict(self._asks(action, parameters))

    def refusal(self, action, **parameters):
        try:
            self.ask(action, **parameters)
        except NodeFailed as failed:
            return self._shown(failed.thrown)
        return NOT_REFUSED

    def _asks(self, action: str, parameters: dict[str, str]) -> dict[str, Any]:
        raise NotImplementedError

    def _shown(self, thrown: dict[str, Any]) -> Refusal:
        raise NotImplementedError


class Pop(NodeClient):
    """@alicloud/pop-core. Of an answer it reads Code alone; its error has all of it."""

    def _asks(self, action, parameters):
        return self._node(
            "popCore",
            endpoint=f"http://{self._endpoint}",
            action=action,
            version=self.version,
            params=parameters,
            **self._key,
            **self._usual,
        )

    def _shown(self, thrown):
        told = thrown["data"]
        assert thrown["name"] == f"{thrown['code']}Error"
        assert thrown["code"] == told["Code"]
        assert thrown["message"].startswith(f"{told['Message']}, URL: http://{self._endpoint}/")
        status = thrown["entry"]["response"]["statusCode"]
        return Refusal(status, thrown["code"], told["Message"], told["RequestId"])


class OpenApi(NodeClient):
    """@alicloud/openapi-client, for any operation."""

    def __init__(self, made, endpoint, node, *, form=False, **usual):
        super().__init__(made, endpoint, node, **usual)
        self._place = "body" if form else "query"

    def _asks(self, action, parameters):
        answer = self._node(
            "openapi",
            endpoint=self._endpoint,
            action=action,
            version=self.version,
            **{self._place: parameters},
            **self._key,
            **self._usual,
        )
        assert answer["statusCode"] == 200
        return answer["body"]

    def _shown(self, thrown):
        told, status = thrown["data"], thrown["statusCode"]
        assert (thrown["code"], status) == (told["Code"], told["statusCode"])
        message = _bare(thrown["message"], status, told["RequestId"], thrown["code"])
        return Refusal(status, thrown["code"], message, told["RequestId"])


class NodeTyped(NodeClient):
    """@alicloud/resourcemanager20200331, the generated client of the 2020 edition."""

    version = OLDER

    def _asks(self, action, parameters):
        answer = self._node(
            "resourceManager",
            endpoint=self._endpoint,
            operation=_as_in_node(action),
            request={_as_in_node(name): value for name, value in parameters.items()},
            **self._key,
        )
        assert answer["statusCode"] == 200
        return _as_on_the_pages(answer["body"])

    def _shown(self, thrown):
        status, request_id = thrown["statusCode"], thrown["requestId"]
        message = _bare(thrown["message"], status, request_id, thrown["code"])
        return Refusal(status, thrown["code"], message, request_id)


PYTHON: dict[str, Callable[..., Client]] = {
    "Tea 2022": Tea,
    "Tea 2022 asynchronously": AsyncTea,
    "Tea 2022 by V1": lambda *who: Tea(*who, signature="v2"),
    "Tea 2020": lambda *who: Tea(*who, product=older),
    "Tea 2020 by V1": lambda *who: Tea(*who, product=older, signature="v2"),
    "Tea's core": Core,
    "Tea's core with a form": FormCore,
    "Tea's core with a form by V1": lambda *who: FormCore(*who, signature_algorithm="v2"),
    "legacy GET": Legacy,
    "legacy POST": lambda *who: Legacy(*who, method="POST"),
    "legacy with a form": lambda *who: Legacy(*who, method="POST", form=True),
    "legacy typed 2020": LegacyTyped,
}
NODE: dict[str, Callable[..., Client]] = {
    "pop-core GET": lambda *who: Pop(*who, method="GET"),
    "pop-core POST": lambda *who: Pop(*who, method="POST"),
    "openapi-client": OpenApi,
    "openapi-client by V1": lambda *who: OpenApi(*who, signatureAlgorithm="v2"),
    "openapi-client with a form": lambda *who: OpenApi(*who, form=True),
    "Node typed 2020": NodeTyped,
}
CLIENTS = PYTHON | NODE


def tea_config(made: Made, endpoint: str, **config: Any) -> Config:
    """As docs/aliyun.md has it."""
    return Config(
        access_key_id=made.get("ak"),
        access_key_secret=made.get("sk"),
        security_token=made.get("security_token"),
        endpoint=endpoint,
        protocol="http",
        **config,
    )


def shown_by_tea(raised: AlibabaCloudException) -> Refusal:
    """Its class is the vendor's own distinction."""
    kinds = (ClientException, ServerException, ThrottlingException)
    assert isinstance(raised, kinds)
    assert isinstance(raised, ServerException) is (raised.status_code >= 500)
    told = raised.data
    assert (told["Code"], told["RequestId"]) == (raised.code, raised.request_id)
    message = _bare(raised.message, raised.status_code, raised.request_id)
    return Refusal(raised.status_code, raised.code, message, raised.request_id)


def _bare(message: str, status: int, request_id: str, code: str = "") -> str:
    """What the server said, out of what the newer clients make of it; those of Node put its code
    in front."""
    before, after = f"code: {status}, ", f" request id: {request_id}"
    if code:
        before = f"{code}: {before}"
    assert message.startswith(before), message
    assert message.endswith(after), message
    return message[len(before) : -len(after)]


def _legacy(made: Made) -> AcsClient:
    if "security_token" not in made:
        return AcsClient(made["ak"], made["sk"], "cn-hangzhou")
    temporary = StsTokenCredential(made["ak"], made["sk"], made["security_token"])
    return AcsClient(region_id="cn-hangzhou", credential=temporary)


def _snake(action: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower()


def _as_on_the_pages(told: Any) -> Any:
    """accountId is AccountId, however deep."""
    if isinstance(told, list):
        return [_as_on_the_pages(each) for each in told]
    if not isinstance(told, dict):
        return told
    return {name[0].upper() + name[1:]: _as_on_the_pages(value) for name, value in told.items()}


def _as_in_node(name: str) -> str:
    """AccountId is accountId, and MAName stays."""
    return name if name[:2].isupper() else name[0].lower() + name[1:]
