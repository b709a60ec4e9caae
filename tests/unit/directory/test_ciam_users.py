"""Users: their claims, what a code applies of them, and the rules of their fields."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.contract.acting import ANN, BOB, TICK
from tests.unit.directory.clouds import became
from watchword.directory import passwords
from watchword.directory.ciam.users import (
    EMAIL,
    LONGEST_ATTRIBUTE,
    LONGEST_PICTURE,
    MOBILE,
    MOST_ATTRIBUTES,
    MOST_BYTES,
    MOST_LEVELS,
    PASSWORD,
    USER,
    USER_NAME,
    PasswordWeak,
    Registration,
    Users,
)
from watchword.domain.challenge import Verdict
from watchword.domain.destination import mailbox, phone
from watchword.errors import KeyUnknown, QuotaExceeded, RecordConflict, RequestInvalid

SHOP, BANK = "shop", "bank"
CAT = phone("+8613700137000")
MAILBOX, OTHER_MAILBOX = mailbox("Ann@example.com"), mailbox("bob@example.com")
RIGHT, BETTER = "Tr0ub4dor&3", "c0rrect-horse"
SECOND = timedelta(seconds=1)


@pytest.fixture
def users(store, acts):
    return Users(store, acts.ring)


@pytest.fixture
def prepare(users, acts):
    def ask(mobile=ANN, app_id=SHOP, **wish):
        return users.prepare_registration(app_id, Registration(mobile=mobile, **wish), acts.now)

    return ask


@pytest.fixture
def apply(acts):
    """Change users as a right code does."""

    def ask(writes):
        return acts.store.write(writes, acts.now)

    return ask


@pytest.fixture
def add(prepare, apply):
    async def ask(*mobile, **wish):
        prepared = await prepare(*mobile, **wish)
        await apply(prepared.writes)
        return prepared.user

    return ask


@pytest.fixture
def find(users, acts):
    """Whoever has this mobile, or mailbox."""

    async def ask(by, app_id=SHOP):
        look = users.by_email if "@" in by.identity else users.by_mobile
        return await look(app_id, by, acts.now)

    return ask


async def refused_kind(act):
    with pytest.raises(RecordConflict) as conflict:
        await act
    return conflict.value.kind


async def test_a_user_is_found_by_mobile_and_by_id(users, add, find, acts):
    user = await add(user_name="ann")
    assert await find(ANN) == (user, 1)
    assert await users.by_id(SHOP, user.id, acts.now) == (user, 1)
    assert (user.masked, user.app_id, user.created_at) == (ANN.masked, SHOP, acts.now)


async def test_a_user_is_of_one_app(users, add, find, acts):
    """The same mobile and name may be another's in another app, and no id opens a neighbour's."""
    user = await add(user_name="ann")
    assert await find(ANN, BANK) is None
    assert await users.by_id(BANK, user.id, acts.now) is None
    other = await add(app_id=BANK, user_name="ann")
    assert await find(ANN, BANK) == (other, 1)
    assert await find(ANN) == (user, 1)


@pytest.mark.parametrize("id", ["", "nobody", "\x00", "\ud800", "x" * 5000], ids=ascii)
async def test_whatever_is_no_id_finds_nobody(users, add, acts, id):
    await add()
    assert await users.by_id(SHOP, id, acts.now) is None


async def test_preparing_writes_nothing(prepare, find):
    await prepare(user_name="ann", password=RIGHT)
    assert await find(ANN) is None


async def test_a_right_code_adds_its_user(acts, prepare, find):
    prepared = await prepare()
    issued = await acts.send()
    for code, verdict in (
        (await acts.wrong(issued.challenge_id), Verdict.MISMATCH),
        (await acts.code(issued.challenge_id), Verdict.MATCH),
    ):
        assert await find(ANN) is None
        found = await acts.verdict(issued.challenge_id, code, effect=prepared.writes)
        assert found is verdict
    assert await find(ANN) == (prepared.user, 1)


async def test_a_claim_that_is_anothers_is_named(add, acts, users):
    await add(user_name="ann")
    assert await refused_kind(add()) == MOBILE
    assert await refused_kind(add(BOB, user_name="ANN")) == USER_NAME
    assert len(await acts.store.records(USER, acts.now)) == 1


async def test_a_registration_that_is_refused_spends_no_code(acts, add, prepare):
    """Whoever holds the code may choose another name."""
    await add(user_name="ann")
    taken, free = await prepare(BOB, user_name="Ann"), await prepare(BOB, user_name="Bob")
    issued = await acts.send(to=BOB)
    code = await acts.code(issued.challenge_id)
    assert (
        await refused_kind(acts.check(issued.challenge_id, code, effect=taken.writes)) == USER_NAME
    )
    found = await acts.verdict(issued.challenge_id, code, effect=free.writes)
    assert found is Verdict.MATCH


async def test_of_many_registrations_of_a_mobile_one_wins(prepare, apply, acts):
    """With names and passwords as without."""
    prepared = await asyncio.gather(*(prepare(user_name=f"ann {n}") for n in range(20)))
    assert await became(apply(one.writes) for one in prepared) == {"done": 1, RecordConflict: 19}
    for kind in (USER, MOBILE, USER_NAME):
        assert len(await acts.store.records(kind, acts.now)) == 1


async def test_of_many_who_want_a_name_one_gets_it(prepare, apply):
    mobiles = [phone(f"+86138001380{n:02}") for n in range(20)]
    spelled = ["Ann", "ANN", "ann", "aNN"] * 5
    wishes = [
        await prepare(mobile, user_name=name) for mobile, name in zip(mobiles, spelled, strict=True)
    ]
    assert await became(apply(one.writes) for one in wishes) == {"done": 1, RecordConflict: 19}


async def test_nobody_needs_a_name_or_a_password(add, users):
    """And who has none is in nobody's way."""
    for mobile in (ANN, BOB):
        user = await add(mobile)
        assert (user.user_name, user.password) == ("", "")


async def test_a_profile_comes_back_as_it_was_given(add, users):
    profile = {
        "user_name": "Änn 王",
        "name": "Ann Lee",
        "email": "Ann@example.com",
        "head_img": "https://cdn.example/a.png",
        "attributes": {"attr_city": "上海", "attr_age": 33, "attr_none": None},
        "extension": {"a": [1, {"b": True}], "big": 2**70},
    }
    user = await add(password=RIGHT, **profile)
    private = users.private(user)
    assert {name: getattr(private, name) for name in profile} == profile
    assert private.mobile == ANN.address
    assert await passwords.is_right(user.password, RIGHT)


async def test_nothing_personal_rests_readable(add, users, apply, find, acts):
    """In no record, nor in what a user prints as."""
    wish = Registration(
        mobile=ANN,
        user_name="pseudonym",
        name="Ann Lee",
        email="ann@example.com",
        password=RIGHT,
        head_img="picture-of-her",
        attributes={"attr_city": "Shanghai"},
        extension={"hobby": "chess"},
    )
    prepared = await users.prepare_registration(SHOP, wish, acts.now)
    await apply(prepared.writes)
    await apply(await users.prepare_email(*await find(ANN), MAILBOX, acts.now))
    words = [
        *("138001380", "pseudonym", "ann lee", "ann@", "example.com", RIGHT.lower()),
        *("picture", "shanghai", "chess"),
    ]
    kept = [
        f"{record.key} {record.body!r}".lower()
        for kind in (USER, MOBILE, EMAIL, USER_NAME)
        for record in await acts.store.records(kind, acts.now)
    ]
    shown = [repr(each).lower() for each in (wish, prepared, users.private(prepared.user))]
    assert len(kept) == 4
    assert not [word for word in words for text in (*kept, *shown) if word in text]


async def test_what_is_private_opens_for_its_user_only(add, users):
    """A record copied over another tells nothing."""
    ann, bob = await add(ANN), await add(BOB)
    with pytest.raises(KeyUnknown):
        users.private(replace(bob, private=ann.private))


async def test_an_email_of_a_registration_is_no_way_in(add, find, users, apply, acts):
    """Anybody may write anybody's there; its owner claims it nonetheless."""
    await add(email=MAILBOX.address)
    assert await find(MAILBOX) is None
    bob = await add(BOB)
    await apply(await users.prepare_email(bob, 1, MAILBOX, acts.now))
    assert (await find(MAILBOX))[0].id == bob.id


async def test_who_is_unknown_costs_the_same_looks(users, add, find, store, acts):
    """How long an answer takes must not tell who is registered."""
    user = await add()
    await acts.store.write(await users.prepare_email(user, 1, MAILBOX, acts.now), acts.now)
    looks = []
    for by in (ANN, BOB, MAILBOX, OTHER_MAILBOX):
        store.asked.clear()
        await find(by)
        looks.append(Counter(store.asked))
    assert looks == [{"record": 2}] * 4


async def test_nobody_may_be_prepared_for_and_never_exists(users, apply, acts, find):
    """The same work as for somebody, to no effect at all."""
    nobody, version = users.nobody(SHOP, acts.now)
    for password in (RIGHT, BETTER):
        writes = await users.prepare_password(nobody, version, password, acts.now)
        assert [(write.kind, write.version) for write in writes] == [(USER, 1)]
        assert await refused_kind(apply(writes)) == USER
    assert await acts.store.records(USER, acts.now) == []


async def test_a_new_password_replaces_the_old(users, add, apply, find, acts):
    user = await add(password=RIGHT)
    acts.later(SECOND)
    await apply(await users.prepare_password(user, 1, BETTER, acts.now))
    changed, version = await find(ANN)
    assert await passwords.is_right(changed.password, BETTER)
    assert not await passwords.is_right(changed.password, RIGHT)
    assert (version, changed.since, changed.created_at) == (2, acts.now, user.created_at)


@pytest.mark.parametrize("passed", [timedelta(), TICK, -SECOND], ids=str)
async def test_every_new_password_is_a_later_instant(users, add, apply, find, acts, passed):
    """Also at the same one, or after the clock stepped back: older tokens end in any case."""
    since = [(await add()).since]
    for password in (RIGHT, BETTER, RIGHT):
        acts.later(passed)
        await apply(await users.prepare_password(*await find(ANN), password, acts.now))
        since.append((await find(ANN))[0].since)
    assert since == sorted(set(since))


async def test_of_changes_at_once_one_wins(users, add, apply, find, acts):
    """Of what was prepared for the same state: whoever lost looks again."""
    user = await add(password=RIGHT)
    prepared = [
        await users.prepare_password(user, 1, BETTER, acts.now),
        await users.prepare_mobile(user, 1, BOB, acts.now),
        await users.prepare_mobile(user, 1, CAT, acts.now),
        await users.prepare_email(user, 1, MAILBOX, acts.now),
    ]
    assert await became(map(apply, prepared)) == {"done": 1, RecordConflict: 3}
    assert await refused_kind(apply(prepared[0])) == USER
    mobiles = await acts.store.records(MOBILE, acts.now)
    assert len(mobiles) == 1


async def test_a_password_that_is_the_name_is_refused_in_the_act(users, add, apply, find, acts):
    """Before, it would tell anybody that this user has this name."""
    user = await add(user_name="Ann.Lee-1")
    writes = await users.prepare_password(user, 1, "aNN.lEE-1", acts.now)
    assert await refused_kind(apply(writes)) == PASSWORD
    assert await find(ANN) == (user, 1)


async def test_who_has_no_name_may_have_any_password(users, add, apply, acts):
    await apply(await users.prepare_password(await add(), 1, BETTER, acts.now))


async def test_a_user_moves_to_another_mobile(users, add, apply, find, acts):
    """Which leaves the old one to whoever comes; the password and tokens stay."""
    user = await add(user_name="ann", name="Ann Lee", password=RIGHT)
    await apply(await users.prepare_mobile(user, 1, BOB, acts.now))
    moved, version = await find(BOB)
    assert (moved.id, version, moved.masked) == (user.id, 2, BOB.masked)
    assert (moved.password, moved.since) == (user.password, user.since)
    private = users.private(moved)
    assert (private.mobile, private.name) == (BOB.address, "Ann Lee")
    assert await find(ANN) is None
    newcomer = await add(ANN)
    assert await find(ANN) == (newcomer, 1)


async def test_a_mobile_that_is_anothers_is_not_taken(users, add, apply, find, acts):
    """And what it was to replace is kept."""
    ann, bob = await add(ANN), await add(BOB)
    assert await refused_kind(apply(await users.prepare_mobile(ann, 1, BOB, acts.now))) == MOBILE
    assert await find(ANN) == (ann, 1)
    assert await find(BOB) == (bob, 1)


async def test_two_who_want_one_mobile(users, add, apply, find, acts):
    """One gets it, and the other keeps what he had."""
    owners = [await add(ANN), await add(BOB)]
    prepared = [await users.prepare_mobile(user, 1, CAT, acts.now) for user in owners]
    assert await became(map(apply, prepared)) == {"done": 1, RecordConflict: 1}
    winner = (await find(CAT))[0].id
    found = [(await find(mobile) or [None])[0] for mobile in (ANN, BOB)]
    assert found == [None if user.id == winner else user for user in owners]


async def test_two_may_change_places(users, add, apply, find, acts):
    """By way of a third mobile; a claim given back is as good as new, time and again."""
    ann, bob = await add(ANN), await add(BOB)
    for _ in range(3):
        for start, end in ((ANN, CAT), (BOB, ANN), (CAT, BOB)):
            await apply(await users.prepare_mobile(*await find(start), end, acts.now))
        ann, bob = bob, ann
        assert [(await find(mobile))[0].id for mobile in (ANN, BOB)] == [ann.id, bob.id]
    assert len(await acts.store.records(MOBILE, acts.now)) == 2


async def test_a_mobile_may_be_changed_for_itself(users, add, apply, find, acts):
    user = await add()
    await apply(await users.prepare_mobile(user, 1, phone("008613800138000"), acts.now))
    assert (await find(ANN))[0].id == user.id


async def test_who_left_a_mobile_is_not_reached_by_it(users, add, acts, store):
    """Not even by a look that began before: his old number's new owner must not get in."""
    user = await add()
    record = acts.store.record

    async def moving_meanwhile(kind, key, now):
        found = await record(kind, key, now)
        if kind == MOBILE:
            writes = await users.prepare_mobile(user, 1, BOB, now)
            await acts.store.write(writes, now)
        return found

    store.record = moving_meanwhile
    assert await users.by_mobile(SHOP, ANN, acts.now) is None


async def test_a_mailbox_is_claimed_once(users, add, apply, find, acts):
    """However it is spelled; whoever has another already changes it for that."""
    ann, bob = await add(ANN), await add(BOB)
    await apply(await users.prepare_email(ann, 1, MAILBOX, acts.now))
    spelled = mailbox("ann@EXAMPLE.com")
    assert await refused_kind(apply(await users.prepare_email(bob, 1, spelled, acts.now))) == EMAIL
    ann, version = await find(spelled)
    assert users.private(ann).email == MAILBOX.address
    await apply(await users.prepare_email(ann, version, OTHER_MAILBOX, acts.now))
    assert await find(MAILBOX) is None
    assert (await find(OTHER_MAILBOX))[0].id == ann.id
    await apply(await users.prepare_email(bob, 1, spelled, acts.now))
    assert (await find(MAILBOX))[0].id == bob.id


@pytest.mark.parametrize(
    "password",
    [
        *("short-1", "a" * 65, "aaaaaaaa", "AAAAAAAA", "12345678", "--------", "密码密码密码密码"),
        *("tab\there1", "line\nbreak1", "zero\u200bwidth1", "\ud800abcdef1", ""),
    ],
    ids=ascii,
)
async def test_a_weak_password_is_refused(users, add, prepare, acts, password):
    """At the field that it came in."""
    user = await add()
    with pytest.raises(PasswordWeak) as refusal:
        await users.prepare_password(user, 1, password, acts.now)
    assert refusal.value.field == "/password"
    if password:
        with pytest.raises(PasswordWeak) as refusal:
            await prepare(BOB, password=password)
        assert refusal.value.field == "/pwd"


@pytest.mark.parametrize(
    "password", ["aaaaaaa1", "AAAAaaaa", "1234567-", "a" * 63 + "1", "密码密码密码密a", "blank a1"]
)
async def test_two_kinds_of_characters_make_a_password(prepare, password):
    assert await passwords.is_right((await prepare(password=password)).user.password, password)


async def test_a_password_is_not_the_name_it_registers_with(prepare):
    with pytest.raises(PasswordWeak) as refusal:
        await prepare(user_name="Ann.Lee-1", password="ANN.LEE-1")
    assert refusal.value.field == "/pwd"


LONG_JSON = {"a": "x" * (MOST_BYTES - len('{"a":""}'))}
TOO_LONG_JSON = {"a": LONG_JSON["a"] + "x"}


def nested(depth):
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("field", "profile"),
    [
        ("/user_name", {"user_name": "x" * 65}),
        ("/user_name", {"user_name": " "}),
        ("/user_name", {"user_name": " ann"}),
        ("/user_name", {"user_name": "two\nlines"}),
        ("/user_name", {"user_name": "a\u202eb"}),
        ("/user_name", {"user_name": "\ud800"}),
        ("/name", {"name": "x" * 65}),
        ("/name", {"name": "two\nlines"}),
        ("/name", {"name": "\x00"}),
        ("/email", {"email": "nobody"}),
        ("/email", {"email": "a@" + "x" * 400}),
        ("/email", {"email": "\ud800@example.com"}),
        ("/head_img", {"head_img": "x" * (LONGEST_PICTURE + 1)}),
        ("/head_img", {"head_img": "\ud800"}),
        ("/attr_32", {"attributes": {f"attr_{n}": "" for n in range(MOST_ATTRIBUTES + 1)}}),
        ("/attr_*", {"attributes": {"x" * (LONGEST_ATTRIBUTE + 1): ""}}),
        ("/attr_*", {"attributes": {"attr_\n": ""}}),
        ("/attr_*", {"attributes": TOO_LONG_JSON}),
        ("/attr_*", {"attributes": {"attr_a": "\ud800"}}),
        ("/extension", {"extension": TOO_LONG_JSON}),
        ("/extension", {"extension": {"\ud800": 1}}),
        ("/extension", {"extension": nested(MOST_LEVELS)}),
        ("/extension", {"extension": nested(3000)}),
        ("/attr_*", {"attributes": {"attr_a": nested(MOST_LEVELS - 1)}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_profile_out_of_bounds_is_refused_at_its_field(prepare, field, profile):
    with pytest.raises(RequestInvalid) as refusal:
        await prepare(**profile)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "profile",
    [
        {"user_name": "x" * 64, "name": "y" * 64},
        {"user_name": "王小明", "name": "王 小明"},
        {"head_img": "x" * LONGEST_PICTURE},
        {"attributes": {f"attr_{n}": "" for n in range(MOST_ATTRIBUTES)}},
        {"attributes": LONG_JSON, "extension": LONG_JSON},
        {"extension": nested(MOST_LEVELS - 1)},
    ],
    ids=str,
)
async def test_a_profile_at_its_bounds_is_kept(add, users, profile):
    private = users.private(await add(**profile))
    assert {name: getattr(private, name) for name in profile} == profile


async def test_a_network_that_asks_for_too_many_passwords_waits(users, acts):
    """It, and no other: each costs a share of a second."""
    wish, over = Registration(mobile=ANN, password=RIGHT), asyncio.Event()

    async def wait():
        async with passwords.turn("192.0.2.1"):
            await over.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(QuotaExceeded):
            await users.prepare_registration(SHOP, wish, acts.now, network="192.0.2.1")
        nobody, version = users.nobody(SHOP, acts.now)
        with pytest.raises(QuotaExceeded):
            await users.prepare_password(nobody, version, RIGHT, acts.now, network="192.0.2.1")
        other = group.create_task(
            users.prepare_registration(SHOP, wish, acts.now, network="192.0.2.2")
        )
        over.set()
        assert await other
