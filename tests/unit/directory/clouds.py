"""What the tests of Alibaba Cloud's world share."""

import asyncio
from collections import Counter

import msgspec
import pytest

from watchword.directory.aliyun import Aliyun
from watchword.directory.aliyun.accounts import Accounts
from watchword.directory.aliyun.credentials import Credentials
from watchword.directory.aliyun.resource_directories import ResourceDirectories
from watchword.directory.apps import Apps
from watchword.domain.destination import phone
from watchword.errors import WatchwordError

PHONE, SPELLED = phone("+12025550100"), "1-2025550100"
OTHER_PHONE, OTHER_SPELLED = phone("+12025550123"), "1-2025550123"
MA_NAME = "boss@rdadmin.aliyunid.com"


def world_on(store, acts, *, most_members=100, rate=(), ring=None):
    """Alibaba Cloud's world as one process has it."""
    ring = ring or acts.ring
    house = msgspec.structs.replace(acts.house, store=store, keys=ring)
    accounts = Accounts(store, ring, Apps(store, ring))
    return Aliyun(
        house=house,
        accounts=accounts,
        credentials=Credentials(accounts, house, rate),
        directories=ResourceDirectories(accounts, most_members),
        site="intl",
    )


async def refusal(act):
    """What it is refused with."""
    with pytest.raises(WatchwordError) as refused:
        await act
    return type(refused.value)


async def became(acts):
    """How often each thing became of many acts at once."""
    told = await asyncio.gather(*acts, return_exceptions=True)
    return Counter(type(one) if isinstance(one, Exception) else "done" for one in told)
