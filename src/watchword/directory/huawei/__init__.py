"""Huawei Cloud's world: accounts and their users, what proves them, a partner's customers."""

from __future__ import annotations

import msgspec

from watchword.directory.huawei.accounts import Accounts
from watchword.directory.huawei.credentials import Credentials
from watchword.directory.huawei.customers import Customers
from watchword.service.house import House


class Huawei(msgspec.Struct, frozen=True, kw_only=True):
    """`house` has the terms of this dialect; `language` is that of a send that names none."""

    house: House
    accounts: Accounts
    credentials: Credentials
    customers: Customers
    language: str
