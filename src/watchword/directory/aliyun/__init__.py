"""Alibaba Cloud's world: accounts, the keys that sign for them, their resource directories."""

from __future__ import annotations

import msgspec

from watchword.directory.aliyun.accounts import Accounts
from watchword.directory.aliyun.credentials import Credentials
from watchword.directory.aliyun.phones import Site
from watchword.directory.aliyun.resource_directories import ResourceDirectories
from watchword.service.house import House


class Aliyun(msgspec.Struct, frozen=True, kw_only=True):
    """`house` has the terms of this dialect; `site` says which countries it texts to."""

    house: House
    accounts: Accounts
    credentials: Credentials
    directories: ResourceDirectories
    site: Site
