"""The OpenAPI document is true, and the server holds to it."""

import httpx2
import msgspec
import openapi_spec_validator
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from watchword.surfaces.native import openapi
from watchword.surfaces.native.routes import ROUTES
from watchword.surfaces.native.wire import AnotherSend, Answered, NewVerification

pytestmark = pytest.mark.store("sqlite")

EXAMPLES = 12
HELD = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.fixture(scope="module")
def token(server):
    return server.key()


def test_the_document_is_openapi_3_1(server):
    """What is served is valid, and needs no key."""
    answer = httpx2.get(f"{server.url}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    openapi_spec_validator.validate(document)


def test_every_route_is_in_the_document():
    """Nothing is served that is not told, and nothing told that is not served."""
    told = {
        (method.upper(), path)
        for path, operations in openapi.document()["paths"].items()
        for method in operations
    }
    assert told == {(route.method, route.path) for route in ROUTES}


def test_the_examples_are_requests():
    """Each reads as the struct it is an example of."""
    for name, asked in (
        ("create", NewVerification), ("check", Answered), ("resend", AnotherSend),
    ):  # fmt: skip
        msgspec.convert(openapi.EXAMPLES[name], asked)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_server_holds_to_its_document(server, token, route, number):
    """Whatever the document allows, and what it does not: no 5xx, and every answer as told."""
    load_all_checks()
    checks = CHECKS.get_by_names(HELD)
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operation = schema[route.path][route.method]
    with server.client(token) as client:
        sent = {"to": number, "channel": "sms", "purpose": "sign_in"}
        made = client.post("/v1/verifications", json=sent).json()["id"]
    modes = schemathesis.GenerationMode
    for mode in (modes.POSITIVE, modes.NEGATIVE):
        if mode is modes.NEGATIVE and route.name not in openapi.ASKS:
            continue

        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode), is_ours=st.booleans())
        def holds(case, is_ours):
            if is_ours and "id" in (case.path_parameters or {}):
                case.path_parameters["id"] = made
            response = case.call(headers={"Authorization": f"Bearer {token}"})
            case.validate_response(response, checks=checks)

        holds()
