"""Customers: their claims, what a code applies of them, and the rules of their fields."""

import asyncio
from collections import Counter

import pytest

from tests.contract.acting import ANN, BOB, at_once
from watchword.directory import passwords
from watchword.directory.apps import Apps
from watchword.directory.huawei import customers
from watchword.directory.huawei.accounts import Accounts
from watchword.directory.huawei.credentials import Credentials
from watchword.directory.huawei.customers import (
    NAME,
    PHONE,
    XACCOUNT,
    Customers,
    NameMalformed,
    PasswordWeak,
    Registration,
)
from watchword.domain.challenge import Verdict
from watchword.domain.destination import mailbox
from watchword.errors import RecordConflict, RequestInvalid

MAILBOX = mailbox("ann.smith@example.com")
PASSWORD = "Tr0ub4dor&3"


@pytest.fixture
def accounts(acts):
    return Accounts(acts.store, acts.ring, Apps(acts.store, acts.ring))


@pytest.fixture
def directory(acts, accounts):
    return Customers(accounts, acts.ring)


@pytest.fixture
async def partner(accounts, acts):
    return await accounts.create_partner(name="Acme", now=acts.now)


@pytest.fixture
def prepare(directory, acts, partner):
    """Another xaccount id each time, unless asked."""
    ids = map(str, range(1000))

    def ask(of=None, by=directory, **wish):
        wish = {"xaccount_id": next(ids), "xaccount_type": "ABC_IDP", **wish}
        return by.prepare(of or partner, Registration(**wish), acts.now)

    return ask


@pytest.fixture
def add(directory, acts, prepare):
    async def ask(**wish):
        return await directory.add(await prepare(**wish), acts.now)

    return ask


async def refused_kind(act):
    with pytest.raises(RecordConflict) as conflict:
        await act
    return conflict.value.kind


async def test_a_customer_is_an_account_of_its_partner(accounts, add, acts, partner):
    customer = await add(domain_name="first_one", area="CN", wants_marketing=False)
    assert await accounts.account(customer.id, acts.now) == customer
    assert (customer.partner_id, customer.area) == (partner.id, "CN")
    assert (customer.xaccount_type, customer.wants_marketing) == ("ABC_IDP", False)
    assert not customer.is_partner
    assert await accounts.by_name("First_One", acts.now) == customer
    assert await accounts.users(customer.id, acts.now) == []


async def test_a_name_is_drawn_for_who_has_none(add):
    names = [(await add()).name for _ in range(5)]
    assert len(set(names)) == 5
    assert all(len(customers.domain_name(name)) == 32 for name in names)


async def test_preparing_writes_nothing(accounts, acts, prepare):
    await prepare(destination=ANN, password=PASSWORD)
    assert await accounts.customers(acts.now) == []


async def test_a_right_code_adds_its_customer(accounts, acts, prepare):
    prepared = await prepare(destination=ANN)
    issued = await acts.send()
    for code, verdict in (
        (await acts.wrong(issued.challenge_id), Verdict.MISMATCH),
        (await acts.code(issued.challenge_id), Verdict.MATCH),
    ):
        found = await acts.verdict(issued.challenge_id, code, effect=prepared.writes)
        assert found is verdict
    assert await accounts.account(prepared.customer.id, acts.now) == prepared.customer


async def test_a_customer_with_a_password_logs_in(accounts, acts, add):
    customer = await add(domain_name="first_one", password=PASSWORD)
    credentials = Credentials(accounts, acts.house)
    caller = await credentials.log_in(
        user_name="first_one",
        account_name="first_one",
        password=PASSWORD,
        network="",
        now=acts.now,
    )
    assert (caller.account, caller.user.name, caller.app) == (customer, "first_one", None)


async def test_a_claim_that_is_anothers_is_named(accounts, acts, add, partner):
    await add(domain_name="first_one", xaccount_id="x1", destination=ANN)
    assert await refused_kind(add(domain_name="FIRST_one")) == NAME
    assert await refused_kind(add(xaccount_id="x1")) == XACCOUNT
    assert await refused_kind(add(destination=ANN)) == PHONE
    assert len(await accounts.customers(acts.now)) == 1


async def test_names_of_customers_and_partners_never_collide(accounts, acts, add):
    await accounts.create_partner(name="Big-Partner", now=acts.now)
    assert await refused_kind(add(domain_name="big-partner")) == NAME
    await add(domain_name="first_one")
    with pytest.raises(RequestInvalid):
        await accounts.create_partner(name="First_One", now=acts.now)


async def test_an_xaccount_id_is_unique_per_partner(accounts, acts, add):
    """And in its own case."""
    other = await accounts.create_partner(name="Other", now=acts.now)
    await add(xaccount_id="x1")
    await add(xaccount_id="X1")
    await add(xaccount_id="x1", of=other)


@pytest.mark.parametrize("wish", [{"xaccount_id": "x1"}, {"domain_name": "first_one"}])
async def test_of_30_effects_at_once_with_one_claim_one_wins(accounts, acts, prepare, wish):
    """The others keep their codes."""
    checks = []
    for n in range(30):
        subject = str(n).encode()
        issued = await acts.send(subject=subject)
        prepared = await prepare(destination=MAILBOX, **wish)
        code = await acts.code(issued.challenge_id)
        checks.append(acts.check(issued.challenge_id, code, effect=prepared.writes))
    assert Counter(await at_once(checks)) == {Verdict.MATCH: 1, "RecordConflict": 29}
    assert len(await accounts.customers(acts.now)) == 1


async def test_a_mailbox_belongs_to_any_number_of_customers(directory, acts, add):
    assert await directory.used("email", MAILBOX, acts.now) == 0
    await asyncio.gather(*(add(destination=MAILBOX) for _ in range(10)))
    assert await directory.used("email", MAILBOX, acts.now) == 10
    assert await directory.used("email", mailbox("bob@example.com"), acts.now) == 0


async def test_a_phone_belongs_to_so_many_customers(accounts, acts, prepare):
    """Each place is one customer's, also where many ask at once."""
    three = Customers(accounts, acts.ring, per_phone=3)
    for used in range(3):
        assert await three.used("mobile", ANN, acts.now) == used
        await three.add(await prepare(destination=ANN, by=three), acts.now)
    prepared = [await prepare(destination=ANN, by=three) for _ in range(3)]
    for one in prepared:
        assert await refused_kind(three.add(one, acts.now)) == PHONE
    assert await three.used("mobile", ANN, acts.now) == 3
    prepared = [await prepare(destination=BOB, by=three) for _ in range(5)]
    told = await asyncio.gather(
        *(three.add(one, acts.now) for one in prepared), return_exceptions=True
    )
    assert [type(one) for one in told].count(RecordConflict) == 4
    assert await three.used("mobile", BOB, acts.now) == 1


async def test_a_name_is_used_by_whoever_has_it(directory, acts, add):
    await add(domain_name="first_one")
    for name, used in (("First_One", 1), ("acme", 1), ("nobody", 0), ("\ud800", 0)):
        assert await directory.used("name", name, acts.now) == used


async def test_no_record_shows_whom_it_is_about(directory, acts, prepare):
    for destination in (MAILBOX, ANN):
        prepared = await prepare(
            xaccount_id=f"x-{destination.address}", destination=destination, password=PASSWORD
        )
        written = b"".join(
            f"{write.kind} {write.key} ".encode() + (write.body or b"") for write in prepared.writes
        )
        for secret in (destination.address, destination.identity, PASSWORD):
            assert secret.encode() not in written
        private = directory.private(prepared.customer)
        assert private.address == destination.address
        assert private.xaccount_id == f"x-{destination.address}"


async def test_a_registration_prints_no_secret():
    asked = Registration(
        xaccount_id="x1", xaccount_type="T", destination=MAILBOX, password=PASSWORD
    )
    assert PASSWORD not in repr(asked)
    assert MAILBOX.address not in repr(asked)
    assert not any(PASSWORD in str(shown) for _, shown in asked.__rich_repr__())


async def test_its_rules_are_asked_before_anything_is_hashed(prepare, monkeypatch):
    monkeypatch.setattr(passwords, "hash", None)
    with pytest.raises(NameMalformed):
        await prepare(domain_name="no", password="no")
    with pytest.raises(PasswordWeak):
        await prepare(domain_name="first_one", password="first_one")


async def test_a_password_does_not_hold_the_mailbox_it_goes_with(prepare):
    short = mailbox("Ann@example.com")
    with pytest.raises(PasswordWeak):
        await prepare(destination=short, password="1ann@EXAMPLE.com")


@pytest.mark.parametrize("name", ["abcde", "_____", "-abcd", "a" * 32, "OPERA", "shadows", "A1-_b"])
def test_a_domain_name_that_may_be(name):
    assert customers.domain_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "abcd", "a" * 33, "12345", "1abcd", "op_abc", "OP_abc", "shadow_a", "Shadow_a"),
        *("ab cd", "ab.cd", "ann@example", "ключи", "abcde\n", "abcdé"),
    ],
)
def test_a_domain_name_that_may_not_be(name):
    with pytest.raises(NameMalformed) as refusal:
        customers.domain_name(name)
    assert refusal.value.field == "/domain_name"


@pytest.mark.parametrize(
    "password", ["abcdefg1", "ABCDEFGh", "1234567!", "密码密码密码密码1", "a b c d e"]
)
def test_a_password_that_may_be(password):
    customers.refuse_weak(password, "first_one", "ann@example.com")


@pytest.mark.parametrize(
    "password",
    [
        *("", "abcdef1", "a1" * 17, "abcdefgh", "ABCDEFGH", "12345678", "!!!!!!!!"),
        *("First_One", "eno_tsrif", "1a@b.co2", "1A@B.CO2", "abcdefg1\n"),
    ],
)
def test_a_password_that_may_not_be(password):
    with pytest.raises(PasswordWeak) as refusal:
        customers.refuse_weak(password, "first_one", "a@b.co")
    assert refusal.value.field == "/password"
