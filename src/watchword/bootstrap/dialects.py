"""The terms of each dialect: a house of its own, and who exists in its world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec

from watchword import config
from watchword.bootstrap.carriers import CHANNELS
from watchword.config import Settings
from watchword.directory.aliyun import Aliyun
from watchword.directory.aliyun.accounts import Accounts as CloudAccounts
from watchword.directory.aliyun.credentials import Credentials as CloudCredentials
from watchword.directory.aliyun.resource_directories import ResourceDirectories
from watchword.directory.apps import Apps
from watchword.directory.ciam import Ciam
from watchword.directory.ciam.clients import Clients
from watchword.directory.ciam.tokens import Tokens
from watchword.directory.ciam.users import Users
from watchword.directory.huawei import Huawei
from watchword.directory.huawei.accounts import Accounts
from watchword.directory.huawei.credentials import Credentials
from watchword.directory.huawei.customers import Customers
from watchword.domain.failures import Budget
from watchword.domain.keys import KeyRing
from watchword.domain.policy import Policy, Resend
from watchword.domain.quota import Quota, Scope, Span, meters
from watchword.ports import Captcha, Provider, Store
from watchword.service.deliver import Pace
from watchword.service.gate import Gate
from watchword.service.guard import Guard
from watchword.service.house import House

_MOST_TRIES, _TRIES_COUNT_FOR = 10, timedelta(minutes=15)


def house(
    settings: Settings,
    keys: KeyRing,
    store: Store,
    providers: Mapping[str, Provider],
    queued: Callable[[str], None],
) -> House:
    policy = settings.policy
    return House(
        store=store,
        keys=keys,
        policy=Policy(
            length=policy.length,
            ttl=timedelta(seconds=policy.ttl_s),
            max_attempts=policy.max_attempts,
            resend_interval=timedelta(seconds=policy.resend_interval_s),
            resend=Resend(policy.resend),
            languages=tuple(policy.languages),
        ),
        meters=meters(_quotas(settings.limits)),
        budget=Budget(hard_stop=settings.budget.hard_stop),
        by_network=settings.limits.by_network,
        channels={name: CHANNELS[name].takes for name in providers},
        queued=queued,
    )


def huawei(settings: Settings, house: House, apps: Apps) -> Huawei:
    """Its terms (DESIGN, "Policy"): no resend interval, 3 attempts, any of the last three codes."""
    terms = settings.huawei
    limits = msgspec.structs.replace(settings.limits, destination=terms.destination)
    house = msgspec.structs.replace(
        house,
        policy=Policy(
            max_attempts=3,
            resend_interval=timedelta(),
            resend=Resend.ANY,
            languages=house.policy.languages,
        ),
        meters=meters(_quotas(limits)),
        dialect="huawei",
    )
    accounts = Accounts(house.store, house.keys, apps)
    return Huawei(
        house=house,
        accounts=accounts,
        credentials=Credentials(accounts, house, lock_by_network=terms.ak_lock == "network"),
        customers=Customers(accounts, house.keys, per_phone=terms.customers_per_phone),
        language=terms.language,
    )


def aliyun(settings: Settings, house: House, apps: Apps) -> Aliyun:
    """Its terms (DESIGN, "Policy"): no resend interval, and any of the last three codes."""
    terms = settings.aliyun
    limits = msgspec.structs.replace(
        settings.limits, account=terms.account, destination=terms.destination
    )
    house = msgspec.structs.replace(
        house,
        policy=Policy(
            resend_interval=timedelta(), resend=Resend.ANY, languages=house.policy.languages
        ),
        meters=meters(_quotas(limits)),
        dialect="aliyun",
    )
    accounts = CloudAccounts(house.store, house.keys, apps)
    return Aliyun(
        house=house,
        accounts=accounts,
        credentials=CloudCredentials(accounts, house, _made(Scope.CREDENTIAL, terms.rate)),
        directories=ResourceDirectories(accounts, terms.members),
        site=terms.site,
    )


def ciam(settings: Settings, house: House, apps: Apps, captchas: Mapping[str, Captcha]) -> Ciam:
    """Its terms (DESIGN, "Policy"): a resend draws anew, and the older code dies."""
    terms, captcha = settings.ciam, settings.captcha
    limits = msgspec.structs.replace(settings.limits, destination=terms.destination)
    house = msgspec.structs.replace(
        house,
        policy=Policy(resend=Resend.NEWEST, languages=house.policy.languages),
        meters=meters(_quotas(limits)),
        dialect="ciam",
    )
    usual = meters(_made(Scope.NETWORK, captcha.usual_work))
    return Ciam(
        house=house,
        gate=Gate(
            house=house,
            kinds=captchas,
            ttl=timedelta(seconds=captcha.ttl_s),
            pass_ttl=timedelta(seconds=captcha.pass_ttl_s),
            shown=meters(_made(Scope.NETWORK, captcha.network)),
            wrong=meters(_made(Scope.NETWORK, captcha.wrong)),
            usual={"altcha": usual[0]} if usual else {},
        ),
        clients=Clients(house.store, house.keys, apps),
        users=Users(house.store, house.keys),
        tokens=Tokens(house.store, house.keys, terms.issuer),
        tries=Guard(house, "ciam_change", _MOST_TRIES, _TRIES_COUNT_FOR),
        language=terms.language,
        aj=captcha.aj,
        origins=terms.origins,
    )


def pace(terms: config.Lane) -> Pace:
    """How much the lane of a channel may do."""
    return Pace(at_once=terms.at_once, rates=_made(Scope.EVERYTHING, terms.rate))


def _quotas(limits: config.Limits) -> tuple[Quota, ...]:
    return tuple(
        quota for scope in Scope for quota in _made(scope, getattr(limits, scope.value, ()))
    )


def _made(scope: Scope, limits: Sequence[config.Limit]) -> tuple[Quota, ...]:
    return tuple(
        Quota(
            scope=scope,
            amount=limit.amount,
            window=timedelta(seconds=limit.window_s),
            span=Span(limit.span) if limit.span else None,
            zone=limit.zone,
        )
        for limit in limits
    )
