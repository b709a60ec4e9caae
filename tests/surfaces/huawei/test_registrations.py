"""Registrations and questions that are malformed: each is refused for its own reason."""

import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    NO_MOBILES,
    VENDORS_WARNINGS,
    customer,
    phone,
    refused,
    sent,
)

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
PARAMETER, INVALID = (400, "CBC.0100"), (400, "CBC.0101")
NAME, PASSWORD = (400, "CBC.99000031"), (400, "CBC.99000036")

REFUSED = [
    ({"xaccount_id": None}, PARAMETER),
    ({"xaccount_id": ""}, PARAMETER),
    ({"xaccount_id": "x" * 129}, PARAMETER),
    ({"xaccount_type": None}, PARAMETER),
    ({"xaccount_type": ""}, PARAMETER),
    ({"xaccount_type": "x" * 65}, PARAMETER),
    ({"domain_area": None}, PARAMETER),
    ({"domain_area": ""}, PARAMETER),
    ({"domain_area": "SGP"}, PARAMETER),
    ({"domain_area": "ＳＧ"}, PARAMETER),
    ({"domain_area": "XX"}, INVALID),
    ({"is_close_market_ms": "yes"}, PARAMETER),
    ({"is_close_market_ms": True}, PARAMETER),
    ({"include_association_result": "true"}, PARAMETER),
    ({"verification_code": ""}, PARAMETER),
    ({"verification_code": None}, PARAMETER),
    ({"verification_code": "12345"}, PARAMETER),
    ({"verification_code": "1234567"}, PARAMETER),
    ({"verification_code": 123456}, PARAMETER),
    ({"email": ""}, PARAMETER),
    ({"email": "ann"}, PARAMETER),
    ({"indirect_partner_id": "p"}, (400, "CBC.99000037")),
    *(({"domain_name": name}, NAME) for name in (
        "four", "x" * 33, "1ann", "op_ann", "OP_ann", "shadow_ann", "ann smith", "ann.smith",
        "änne1", "12345", "ann\n1", "ann12\n",
    )),
    *(({"password": password}, PASSWORD) for password in (
        "short1!", "x1" * 17, "onlyletters", "1234567890", "ann-smith", "htims-nna", "ANN-smith",
        "with\nbreak1",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "refusal"), REFUSED, ids=str)
def test_a_malformed_registration_is_refused_and_spends_no_try(
    delivering, shop, ann, changes, refusal
):
    """Each for its own reason; the code is as good after it as before."""
    code = sent(shop, ann)
    right = {"email": ann, "verification_code": code, "domain_name": "ann-smith"}
    for _ in range(4):
        reply = shop.ask(path=CREATE, body=customer(**{**right, **changes}))
        assert reply.refusal == refusal
    assert shop.register(email=ann, verification_code=code).domain_id


def test_a_password_does_not_hold_the_mailbox(shop, ann):
    given = {"email": ann, "verification_code": sent(shop, ann)}
    assert refused(shop.register, **given, password=f"1{ann.upper()}") == PASSWORD
    assert shop.register(**given, password="Tr0ub4dor&3").domain_id


@pytest.mark.parametrize(
    "to", ["", "1380", "+14155550100", "x" * 33, "138001380000000x", *NO_MOBILES]
)
def test_a_phone_that_is_none_has_a_code_of_its_own(shop, to):
    given = {"mobile_phone": to, "verification_code": "123456"}
    assert refused(shop.register_chinese, **given) == (400, "CBC.5017")


def test_a_customer_has_a_mailbox_or_a_phone(shop, ann):
    body = customer(email=ann, mobile_phone=phone(), verification_code="123456")
    assert shop.ask(path=CREATE, body=body).refusal == PARAMETER


# Looking somebody up


def test_what_nobody_has_is_available(shop, ann):
    for kind, value in [("email", ann), ("name", "no-such-name"), ("mobile", f"0086-{phone()}")]:
        told = shop.look_for(kind, value)
        assert (told.error_code, told.check_result) == ("CBC.0000", "available")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (None, "x"), ("", "x"), ("phone", "x"), ("email", None), ("email", ""), ("email", "ann"),
        ("email", "x" * 53 + "@example.com"), ("name", "x" * 65), ("name", "four"),
        ("name", "x" * 33), ("name", "1ann5"), ("name", "op_ann"), ("name", "ann smith"),
        ("name", "änne1"), ("name", "ann12\n"), ("mobile", "13800138000"),
        ("mobile", "+86-13800138000"), ("mobile", "0086-"), ("mobile", "8600-13800138000"),
        ("mobile", "0086-1380013800x"), ("mobile", "0000-1"),
        ("mobile", "0086-１３８００１３８０００"),
    ],
)  # fmt: skip
def test_a_malformed_question_is_a_parameter_error(shop, kind, value):
    assert refused(shop.look_for, kind, value) == PARAMETER
