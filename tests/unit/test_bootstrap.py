"""Settings in, a running service out: whose clock it has, and who is stirred."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from watchword import bootstrap
from watchword.bootstrap import Stage
from watchword.config import Settings
from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.errors import StoreUnavailable
from watchword.stores.postgres import PostgresStore
from watchword.stores.sqlite import SqliteStore

AHEAD = timedelta(minutes=2)
LEASED = Leased(
    id=1,
    token=1,
    app_id="a",
    challenge_id="c",
    slot=b"",
    purpose="sign_in",
    channel="email",
    tries=0,
    minutes=5,
    recipient=b"",
    code=b"",
    expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    queued_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def ended(reason, *, state=DeliveryState.QUEUED, for_all=True):
    """How that one's hand-over ended."""
    return Handover(id=1, token=1, state=state, reason=reason, for_all=for_all)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def settings(tmp_path):
    return Settings(data=str(tmp_path))


@pytest.fixture
def watching(monkeypatch):
    """Whom stores tell of what other processes queue."""
    watching = []
    monkeypatch.setattr(SqliteStore, "watch", lambda _, tell: watching.append(tell))
    return watching


async def test_time_is_the_stores_for_everyone(settings, monkeypatch):
    """Processes that share a store agree on the time, whatever their machines say."""
    monkeypatch.setattr(SqliteStore, "offset", AHEAD)
    async with bootstrap.bootstrap(settings, deliver=False) as service:
        for clock in (service.clock, *(lane._clock for lane in service.lanes)):
            before = datetime.now(UTC)
            assert before + AHEAD <= clock() <= datetime.now(UTC) + AHEAD
        monkeypatch.setattr(SqliteStore, "offset", timedelta())
        assert service.clock() <= datetime.now(UTC)


async def test_a_store_on_a_server_is_watched_over(tmp_path, postgres_stock, monkeypatch):
    """Whoever reads the log learns that it is away, why, and that it is back: once each."""
    ready, looked = PostgresStore.ready, asyncio.Event()
    trouble = [None, StoreUnavailable("no answer"), StoreUnavailable("no answer"), None, None]

    async def look(store):
        if not trouble:
            looked.set()
        elif (now := trouble.pop(0)) is not None:
            raise now
        await ready(store)

    monkeypatch.setattr(bootstrap, "_LOOK_EVERY_S", 0)
    monkeypatch.setattr(PostgresStore, "ready", look)
    with postgres_stock.lent() as address, capture_logs() as events:
        settings = Settings(data=str(tmp_path), store=address)
        async with bootstrap.bootstrap(settings, deliver=False), asyncio.timeout(10):
            await looked.wait()
    told = [(event["event"], event.get("reason")) for event in events]
    assert told == [("store_unavailable", "no answer"), ("store_available", None)]


async def test_a_providers_trouble_is_told_by_its_reason(settings, monkeypatch):
    """And again where that changes; a recipient who is put off alone is none."""
    monkeypatch.setattr(bootstrap, "_QUIET_S", 0)
    ends = [
        ended("the mailbox is full", for_all=False),
        ended("no connection"),
        ended("no connection"),
        ended("no log-in"),
        ended("the mailbox is full", for_all=False),
        ended("no answer", state=DeliveryState.UNKNOWN),
        ended("", state=DeliveryState.CANCELLED),
        ended("", state=DeliveryState.ACCEPTED),
    ]
    async with bootstrap.bootstrap(settings, deliver=False) as service:
        lane = service.lanes[0]
        with capture_logs() as events:
            for end in ends:
                for tell in lane.watchers:
                    tell(LEASED, end)
    assert [
        (event["event"], event.get("reason"))
        for event in events
        if event["event"].startswith("provider_")
    ] == [
        ("provider_unavailable", "no connection"),
        ("provider_unavailable", "no log-in"),
        ("provider_available", None),
        ("provider_unavailable", "no answer"),
        ("provider_available", None),
    ]


async def test_a_clock_that_is_given_is_used_as_it_is(settings):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    async with bootstrap.bootstrap(settings, clock=lambda: at, deliver=False) as service:
        assert service.clock() == at


async def test_what_another_process_queues_stirs_its_lane_alone(settings, watching, monkeypatch):
    stirred = []
    async with bootstrap.bootstrap(settings) as service:
        for lane in service.lanes:
            monkeypatch.setattr(lane, "stir", lambda channel=lane.channel: stirred.append(channel))
        (tell,) = watching
        tell("email")
        tell("carrier pigeon")  # of a process with other settings
    assert stirred == ["email"]


async def test_a_process_that_does_not_deliver_watches_nothing(settings, watching):
    async with bootstrap.bootstrap(settings, deliver=False):
        assert watching == []


async def test_a_look_at_the_stage_makes_nothing(settings):
    """Absent, made, started: each only by what somebody did."""
    assert await bootstrap.stage(settings) is Stage.ABSENT
    assert not settings.store_path.exists()
    await bootstrap.migrate(settings)
    assert await bootstrap.stage(settings) is Stage.MADE
    assert not settings.keyring_path.exists()
    async with bootstrap.bootstrap(settings, deliver=False):
        pass
    assert await bootstrap.stage(settings) is Stage.STARTED
