"""The virtual carrier keeps what it receives, tells nobody, and misbehaves on purpose."""

import asyncio
import base64
import secrets
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import quote

import apsw
import msgspec
import pytest

from watchword.domain.delivery import DeliveryState, Receipt
from watchword.domain.keys import KeyRing
from watchword.domain.message import Message
from watchword.errors import ProviderRefused, ProviderUnavailable
from watchword.providers.virtual import FILE, Settings, Virtual

PHONE = "+8613800138000"


def message(to=PHONE, *, key=None, code="492817", text=None):
    channel = "email" if "@" in to else "sms"
    key = key or secrets.token_hex(8)
    return Message(key=key, channel=channel, to=to, text=text or f"Acme: {code}", code=code)


@pytest.fixture
async def carrier(tmp_path, keys, clock):
    carrier = Virtual(tmp_path / FILE, keys, clock=clock, settings=Settings(slow_s=0.01))
    yield carrier
    await carrier.close()


async def test_what_was_sent_can_be_looked_up(carrier, clock):
    """Address as given, text, code and time, oldest first."""
    await carrier.send(message(code="111111"))
    await carrier.send(message("Ann@Example.COM", code="222222"))
    first, second = await carrier.received()
    assert (first.to, first.channel, first.code) == (PHONE, "sms", "111111")
    assert (second.to, second.channel, second.code) == ("Ann@Example.COM", "email", "222222")
    assert (second.text, second.at) == ("Acme: 222222", clock.now)


@pytest.mark.parametrize(
    ("to", "identity"),
    [
        (PHONE, PHONE),
        ("Ann@Example.COM", "ann@example.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("用户@example.com", "用户@example.com"),
    ],
)
async def test_an_inbox_is_found_by_its_canonical_address(carrier, to, identity):
    await carrier.send(message(to))
    await carrier.send(message("+14155550100"))
    assert [found.to for found in await carrier.received(identity)] == [to]
    assert await carrier.received("+14155550199") == []


async def test_the_same_key_is_received_once(carrier):
    """A hand-over that is repeated after a crash reaches nobody twice, also with others at once."""
    again = message(key="delivery-7")
    receipts = await asyncio.gather(*(carrier.send(again) for _ in range(20)))
    assert len(await carrier.received()) == 1
    assert len({receipt.reference for receipt in receipts}) == 1


@pytest.mark.parametrize("to", ["+8613800130001", "refuse@example.com", "Refuse+1@example.com"])
async def test_some_addresses_are_refused(carrier, to):
    with pytest.raises(ProviderRefused) as refused:
        await carrier.send(message(to))
    assert to not in str(refused.value)
    assert await carrier.received() == []


@pytest.mark.parametrize("to", ["+8613800130002", "down@example.com"])
async def test_for_some_addresses_the_carrier_is_down(carrier, to):
    with pytest.raises(ProviderUnavailable):
        await carrier.send(message(to))
    assert await carrier.received() == []


@pytest.mark.parametrize("to", ["+8613800130003", "silent@example.com"])
async def test_some_addresses_never_give_a_receipt(carrier, to):
    assert (await carrier.send(message(to))).state is DeliveryState.ACCEPTED
    assert len(await carrier.received()) == 1


@pytest.mark.parametrize("to", ["+8613800130004", "slow@example.com"])
async def test_a_slow_address_holds_up_nobody_else(carrier, to):
    """It comes after what was sent later, and still within the time-out."""
    slow = asyncio.create_task(carrier.send(message(to)))
    await asyncio.sleep(0)
    await carrier.send(message())
    assert (await slow).state is DeliveryState.DELIVERED
    assert [found.to for found in await carrier.received()] == [PHONE, to]
    assert Settings().slow_s == 5.0
    assert carrier.timeout > timedelta(seconds=5)


@pytest.mark.parametrize("to", ["+8613800100010", "refused@example.com", "x@refuse.example"])
async def test_every_other_address_receives(carrier, to):
    assert (await carrier.send(message(to))).state is DeliveryState.DELIVERED


async def test_an_inbox_outlives_its_process(tmp_path, keys, clock):
    first = Virtual(tmp_path / FILE, keys, clock=clock)
    await first.send(message())
    await first.close()
    second = Virtual(tmp_path / FILE, keys, clock=clock)
    assert len(await second.received(PHONE)) == 1
    await second.close()


async def test_several_carriers_share_one_file(tmp_path, keys, clock):
    """Opened at once while it does not exist yet, and written at once."""
    opened = [lambda: Virtual(tmp_path / FILE, keys, clock=clock)] * 8
    with ThreadPoolExecutor(8) as threads:
        carriers = list(threads.map(lambda make: make(), opened))
    await asyncio.gather(*(each.send(message()) for each in carriers for _ in range(25)))
    assert len(await carriers[0].received()) == 200
    for carrier in carriers:
        await carrier.close()


async def test_another_process_reads_along(tmp_path, keys, clock, carrier):
    await carrier.send(message())
    count = f"import sqlite3; print(*sqlite3.connect({str(tmp_path / FILE)!r}).execute("
    count += "'SELECT count(*) FROM received').fetchone())"
    found = await asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", count])
    assert found.strip() == b"1"


async def test_only_the_newest_are_kept(tmp_path, keys, clock):
    carrier = Virtual(tmp_path / FILE, keys, clock=clock, settings=Settings(most=5))
    for number in range(8):
        await carrier.send(message(code=f"00000{number}"))
    assert [found.code[-1] for found in await carrier.received()] == ["3", "4", "5", "6", "7"]
    assert rows(tmp_path) == 5
    await carrier.close()


async def test_nothing_is_kept_for_longer_than_a_day(tmp_path, keys, clock, carrier):
    """What is too old cannot be looked up, and goes with the next message or opening."""
    await carrier.send(message(code="111111"))
    clock.now += timedelta(hours=24, seconds=1)
    assert await carrier.received() == []
    await carrier.send(message(code="222222"))
    assert rows(tmp_path) == 1
    clock.now += timedelta(hours=24, seconds=1)
    await Virtual(tmp_path / FILE, keys, clock=clock).close()
    assert rows(tmp_path) == 0


def rows(tmp_path):
    db = apsw.Connection(str(tmp_path / FILE))
    try:
        return db.execute("SELECT count(*) FROM received").get
    finally:
        db.close()


def forms(secret):
    """A secret as it might rest on a disk."""
    raw = secret.encode()
    wide = secret.encode("utf-16-le"), secret.encode("utf-16-be")
    encoded = {base64.b64encode(b"\0" * shift + raw)[shift + 2 : -4] for shift in range(3)}
    return {raw, raw.hex().encode(), quote(secret, safe="").encode(), *wide, *encoded}


def leaks(folder, secret):
    return [
        path.name
        for path in folder.iterdir()
        for form in forms(secret)
        if form in path.read_bytes()
    ]


async def test_no_code_and_no_address_can_be_read_from_the_disk(tmp_path, carrier):
    """Neither from the database nor from its log; a planted one is found."""
    code = "Zq7Vw3Kx9Rt5Ly1P"
    await carrier.send(message(PHONE, code=code, key="delivery-with-a-long-key"))
    await carrier.send(message("annabelle@example.com", code=code))
    for secret in (code, PHONE, PHONE[1:], "annabelle@example.com", "delivery-with-a-long-key"):
        assert leaks(tmp_path, secret) == []
    (tmp_path / "planted").write_bytes(b"..." + code.encode("utf-16-le"))
    assert leaks(tmp_path, code) == ["planted"]


async def test_the_files_are_their_owners_only(tmp_path, keys, clock):
    (tmp_path / FILE).touch(mode=0o644)
    carrier = Virtual(tmp_path / FILE, keys, clock=clock)
    await carrier.send(message())
    files = list(tmp_path.iterdir())
    assert {path.name for path in files} == {FILE, f"{FILE}-wal", f"{FILE}-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    await carrier.close()


async def test_another_key_ring_reads_nothing(tmp_path, keys, clock, carrier):
    """Nor does it fail: what it cannot open it leaves out."""
    await carrier.send(message())
    kinds = {kind: {1: secrets.token_bytes(32)} for kind in ("code", "seal", "journal")}
    ring = KeyRing(**kinds, index=b"i" * 32, active=dict.fromkeys(kinds, 1))
    other = Virtual(tmp_path / FILE, ring, clock=clock)
    assert await other.received() == []
    await other.close()


async def test_a_disk_that_fails_is_a_carrier_that_is_down(carrier):
    """Everybody who waits is told to try again, and the next message finds its way."""
    carrier._file._db.execute("PRAGMA query_only = ON")
    outcomes = await asyncio.gather(
        *(carrier.send(message()) for _ in range(5)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {ProviderUnavailable}
    carrier._file._db.execute("PRAGMA query_only = OFF")
    await carrier.send(message())
    assert len(await carrier.received()) == 1


async def test_a_sender_that_gives_up_disturbs_nobody(carrier):
    given_up = asyncio.create_task(carrier.send(message()))
    others = [asyncio.create_task(carrier.send(message())) for _ in range(3)]
    await asyncio.sleep(0)
    given_up.cancel()
    assert all(isinstance(receipt, Receipt) for receipt in await asyncio.gather(*others))


async def test_messages_that_come_together_are_written_together(carrier):
    """A thousand at once take a handful of transactions, not a thousand."""
    batches = []
    write = carrier._writes._write

    def counted(rows):
        batches.append(len(rows))
        write(rows)

    carrier._writes._write = counted
    await asyncio.gather(*(carrier.send(message()) for _ in range(1000)))
    assert sum(batches) == 1000
    assert len(batches) < 20


async def test_nothing_arrives_after_its_code_expired(carrier, clock):
    """Also where the carrier itself was what took so long."""
    late = msgspec.structs.replace(
        message("slow@example.com"), expires_at=clock.now + timedelta(minutes=1)
    )
    sending = asyncio.create_task(carrier.send(late))
    await asyncio.sleep(0)
    clock.now += timedelta(minutes=1)
    with pytest.raises(ProviderUnavailable):
        await sending
    assert await carrier.received() == []
