"""Creating customers through the vendor's own clients: a code is right once, a name is one's."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    VENDORS_WARNINGS,
    code_for,
    customer,
    mailbox,
    messages,
    partner,
    phone,
    refused,
    sent,
    texted,
    wrong,
)

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
GONE, GUESSED, WRONG = (400, "CBC.99004008"), (400, "CBC.99004009"), (400, "CBC.99004010")
NAME_TAKEN, XACCOUNT_TAKEN = (400, "CBC.99000038"), (400, "CBC.99000039")
PHONE_TAKEN = (400, "CBC.99000029")
MINUTE = timedelta(minutes=1)


def test_a_right_code_makes_a_customer(shop, ann):
    """Its id is a domain's; the name that nobody asked for is drawn."""
    made = shop.register(email=ann, verification_code=sent(shop, ann))
    assert len(made.domain_id) == 32
    assert len(made.domain_name) == 32
    assert shop.look_for("name", made.domain_name).check_result == "used_by_user"
    assert shop.look_for("email", ann).check_result == "used_by_user"


def test_a_name_is_given_back(shop, ann):
    name = f"Ann_{ann.partition('@')[0]}"
    made = shop.register(email=ann, verification_code=sent(shop, ann), domain_name=name)
    assert made.domain_name == name


def test_the_answer_is_json_of_two_members(shop):
    reply = shop.ask(path=CREATE, body=customer())
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    assert set(reply.json) == {"domain_id", "domain_name"}
    assert len(reply.headers["x-request-id"]) == 32


def test_the_china_edition_makes_them_by_phone(shop):
    to = phone()
    made = shop.register_chinese(mobile_phone=to, verification_code=texted(shop, to))
    assert made.domain_id
    told = shop.look_for("mobile", f"0086-{to}")
    assert (told.check_result, told.mobile_remain_available_num) == ("used_by_user", 0)
    assert (told.error_code, told.error_msg) == ("CBC.0000", "Success.")


def test_nothing_is_proven_without_an_address(shop):
    """A customer without mailbox and phone needs no code."""
    assert shop.register().domain_id


# The code


def test_without_a_code_there_is_nothing_to_check(shop, ann):
    assert refused(shop.register, email=ann, verification_code="123456") == GONE


def test_an_expired_code_is_gone(delivering, shop, ann):
    """Right or wrong; and a new one is a new beginning."""
    shop.send(ann, timeout=1)
    old = code_for(delivering, ann)
    delivering.clock.pass_by(MINUTE)
    assert refused(shop.register, email=ann, verification_code=old) == GONE
    assert refused(shop.register, email=ann, verification_code=wrong(old)) == GONE
    assert shop.register(email=ann, verification_code=sent(shop, ann)).domain_id


def test_time_ends_a_code_that_was_guessed_at_too(delivering, shop, ann):
    """Too many wrong ones are told while it lives; then it is gone like any other."""
    shop.send(ann, timeout=1)
    code = code_for(delivering, ann)
    for _ in range(3):
        assert refused(shop.register, email=ann, verification_code=wrong(code)) == WRONG
    assert refused(shop.register, email=ann, verification_code=code) == GUESSED
    delivering.clock.pass_by(MINUTE)
    assert refused(shop.register, email=ann, verification_code=code) == GONE


def test_a_used_code_is_gone(shop, ann):
    code = sent(shop, ann)
    shop.register(email=ann, verification_code=code)
    assert refused(shop.register, email=ann, verification_code=code) == GONE
    assert refused(shop.register, email=ann, verification_code=wrong(code)) == GONE


@pytest.mark.parametrize("spelling", ["{} {}", " {}{} ", "{}-{}"])
def test_a_code_may_be_typed_with_blanks(shop, ann, spelling):
    """As people do who read it in two halves; a wrong one stays wrong."""
    code = sent(shop, ann)
    bad = wrong(code)
    given = spelling.format(bad[:3], bad[3:])
    assert refused(shop.register, email=ann, verification_code=given) == WRONG
    given = spelling.format(code[:3], code[3:])
    assert shop.register(email=ann, verification_code=given).domain_id


@pytest.mark.parametrize("wrongs", [1, 2])
def test_a_wrong_code_may_be_put_right(shop, ann, wrongs):
    code = sent(shop, ann)
    for _ in range(wrongs):
        assert refused(shop.register, email=ann, verification_code=wrong(code)) == WRONG
    assert shop.register(email=ann, verification_code=code).domain_id


def test_the_fourth_try_is_one_too_many(shop, ann):
    """Even with the right code, and whatever is tried after it; a new code is a new beginning."""
    code = sent(shop, ann)
    for _ in range(3):
        assert refused(shop.register, email=ann, verification_code=wrong(code)) == WRONG
    assert refused(shop.register, email=ann, verification_code=code) == GUESSED
    assert refused(shop.register, email=ann, verification_code=wrong(code)) == GUESSED
    assert shop.register(email=ann, verification_code=sent(shop, ann)).domain_id


@pytest.mark.parametrize("nth", range(3))
def test_any_of_the_last_three_codes_is_right(delivering, shop, ann, nth):
    """Mails overtake one another; the older one is wrong, and using one ends all of them."""
    for _ in range(4):
        shop.send(ann)
    oldest, *last = [message.code for message in messages(delivering, ann)]
    if oldest not in last:
        assert refused(shop.register, email=ann, verification_code=oldest) == WRONG
    assert shop.register(email=ann, verification_code=last[nth]).domain_id
    for code in last:
        assert refused(shop.register, email=ann, verification_code=code) == GONE


def test_a_resend_gives_no_more_tries(shop, ann):
    """Three wrong ones are three, whichever codes they were meant for."""
    for _ in range(3):
        code = sent(shop, ann)
        assert refused(shop.register, email=ann, verification_code=wrong(code)) == WRONG
    assert refused(shop.register, email=ann, verification_code=code) == GUESSED


def test_guessing_over_many_codes_is_stopped(delivering, shop, ann):
    """After 30 wrong ones within half an hour nothing more is checked, nor sent, for a while."""
    for _ in range(10):
        code = sent(shop, ann)
        for _ in range(3):
            assert refused(shop.register, email=ann, verification_code=wrong(code)) == WRONG
    assert refused(shop.send, ann) == (400, "CBC.99004015")
    given = customer(email=ann, verification_code=code)
    reply = shop.ask(path=CREATE, body=given)
    assert reply.refusal == GUESSED
    assert 1 <= int(reply.headers["retry-after"]) <= 1800
    assert refused(shop.send, ann.replace("@", "+tag@")) == (400, "CBC.99004015")
    other = partner(delivering)
    assert other.register(email=ann, verification_code=sent(other, ann)).domain_id
    delivering.clock.pass_by(30 * MINUTE)
    assert shop.register(email=ann, verification_code=sent(shop, ann)).domain_id


def test_a_code_is_good_for_its_own_mailbox_and_partner(delivering, shop, ann):
    """Nobody else's is opened by it."""
    code = sent(shop, ann)
    other, bob = partner(delivering), mailbox()
    assert refused(shop.register, email=bob, verification_code=code) == GONE
    assert refused(other.register, email=ann, verification_code=code) == GONE
    local, _, domain = ann.partition("@")
    tagged = f"{local}+tag@{domain}"
    assert refused(shop.register, email=tagged, verification_code=code) == GONE
    assert shop.register(email=ann.upper(), verification_code=code).domain_id


def test_of_many_at_once_one_code_makes_one_customer(shop, ann):
    code = sent(shop, ann)

    def race(_):
        return shop.ask(path=CREATE, body=customer(email=ann, verification_code=code))

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(race, range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [400] * 7
    assert {reply.refusal for reply in replies if reply.status == 400} == {GONE}


# What is taken


def test_a_taken_name_leaves_the_code_good(delivering, shop, ann):
    """In any case, and whoever has it; nothing of the refused customer is kept."""
    name = f"taken-{ann.partition('@')[0]}"
    shop.register(domain_name=name)
    other = partner(delivering)
    code = sent(other, ann)
    given = {"email": ann, "verification_code": code}
    for _ in range(4):
        assert refused(other.register, **given, domain_name=name.upper()) == NAME_TAKEN
    assert other.look_for("email", ann).check_result == "available"
    assert other.register(**given, domain_name=f"{name}2").domain_id


def test_a_taken_xaccount_leaves_the_code_good(delivering, shop, ann):
    """It is taken for its partner alone."""
    given = customer()
    shop.register(**given)
    code = sent(shop, ann)
    proven = {"email": ann, "verification_code": code}
    assert refused(shop.register, **{**given, **proven}) == XACCOUNT_TAKEN
    assert shop.register(**proven).domain_id
    assert partner(delivering).register(**given).domain_id


def test_what_is_taken_is_not_told_without_the_right_code(shop, ann):
    """A wrong code is told first."""
    name, given = f"taken-{ann.partition('@')[0]}", customer()
    shop.register(**given, domain_name=name)
    code = sent(shop, ann)
    both = {**given, "domain_name": name, "email": ann}
    assert refused(shop.register, **both, verification_code=wrong(code)) == WRONG
    assert refused(shop.register, **both, verification_code=code) in (NAME_TAKEN, XACCOUNT_TAKEN)


def test_a_phone_is_one_customers(delivering, shop):
    """99000029, and its code stays good for nothing else either; a mailbox may have many."""
    to = phone()
    shop.register_chinese(mobile_phone=to, verification_code=texted(shop, to))
    code = texted(shop, to)
    assert refused(shop.register_chinese, mobile_phone=to, verification_code=code) == PHONE_TAKEN
    other = partner(delivering)
    code = texted(other, to)
    assert refused(other.register_chinese, mobile_phone=to, verification_code=code) == PHONE_TAKEN


def test_a_mailbox_may_have_many_customers(shop, ann):
    for _ in range(2):
        assert shop.register(email=ann, verification_code=sent(shop, ann)).domain_id
