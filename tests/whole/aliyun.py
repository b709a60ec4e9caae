"""Callers of Alibaba Cloud's dialect, who call a running server by the vendor's own client."""

import asyncio
import itertools
import json
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlencode, urlsplit

from alibabacloud_resourcedirectorymaster20220419 import models
from alibabacloud_resourcedirectorymaster20220419.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.core import DaraCore
from darabonba.exceptions import UnretryableException

from tests.whole.aliyun_clients import ENABLE, Tea
from tests.whole.conftest import DEADLINE_S, eventually
from watchword.bootstrap import bootstrap
from watchword.domain.app import Scope

VENDORS_WARNINGS = (
    "ignore:datetime.datetime.utcnow:DeprecationWarning:alibabacloud_tea_openapi.utils"
)
"""What the vendor's package does that Python 3.12 and later warn of."""
GONE = UnretryableException
"""What the client raises when nobody answers."""
DONE = (200, "OK")
_CONNECTIONS = 40
_numbers = itertools.count(10_000)


class Accounts:
    """Makes accounts in a house, whether or not a server runs there."""

    def __init__(self, house):
        self._settings = house.loaded()

    def do(self, work):
        """Run what `work` makes of the service."""

        async def done():
            async with bootstrap(self._settings, deliver=False) as service:
                return await work(service, datetime.now(UTC))

        return asyncio.run(done())

    def newcomers(self, amount):
        """The ids and keys of accounts in no directory."""

        async def made(service, now):
            return [await _newcomer(service, now) for _ in range(amount)]

        return self.do(made)

    def manager(self):
        """The id and key of one that manages a directory."""

        async def made(service, now):
            account_id, *key = await _newcomer(service, now)
            await service.aliyun.directories.enable(account_id, now)
            return account_id, *key

        return self.do(made)

    def inbox_token(self):
        """A token that reads every phone."""

        async def made(service, now):
            app = await service.apps.create(name="Reader", now=now)
            return (await service.apps.create_key(app.id, (Scope.INBOX,), now=now))[1]

        return self.do(made)


async def _newcomer(service, now):
    account = await service.aliyun.accounts.create(name=f"shop-{next(_numbers)}", now=now)
    key, sk, _ = await service.aliyun.credentials.create_key(account.id, now)
    return account.id, key.id, sk


class Caller:
    """An account that calls as the vendor's manual says."""

    def __init__(self, endpoint, account_id, ak, sk):
        self.id, self._endpoint = account_id, endpoint
        told = Config(
            access_key_id=ak,
            access_key_secret=sk,
            endpoint=endpoint,
            protocol="http",
            max_idle_conns=_CONNECTIONS,
            read_timeout=DEADLINE_S * 1000,
        )
        self.client = Client(told)

    def send_to_enable(self, phone):
        request = models.SendVerificationCodeForEnableRDRequest(secure_mobile_phone=phone)
        return self.client.send_verification_code_for_enable_rd(request).body

    def enable(self, name, phone, code):
        request = models.EnableResourceDirectoryRequest(
            enable_mode="NewManagementAccount",
            maname=name,
            masecure_mobile_phone=phone,
            verification_code=code,
        )
        return self.client.enable_resource_directory(request).body.resource_directory

    def directory(self):
        return self.client.get_resource_directory().body.resource_directory

    def create(self, name):
        """A member's id."""
        request = models.CreateResourceAccountRequest(display_name=name)
        return self.client.create_resource_account(request).body.account.account_id

    def send_to_bind(self, member_id, phone):
        request = models.SendVerificationCodeForBindSecureMobilePhoneRequest(
            account_id=member_id, secure_mobile_phone=phone
        )
        return self.client.send_verification_code_for_bind_secure_mobile_phone(request).body

    def bind(self, member_id, phone, code):
        request = models.BindSecureMobilePhoneRequest(
            account_id=member_id, secure_mobile_phone=phone, verification_code=code
        )
        return self.client.bind_secure_mobile_phone(request).body

    def phone_of(self, member_id):
        """ "" where none is bound."""
        request = models.GetAccountRequest(account_id=member_id)
        account = self.client.get_account(request).body.account
        assert account.has_secure_mobile_phone is bool(account.secure_mobile_phone)
        return account.secure_mobile_phone


def hang_up():
    """Close the connections that the client keeps for the whole process."""
    while DaraCore._sessions:
        DaraCore._sessions.popitem()[1].close()


class Inbox:
    """What phones received, read from a running server."""

    def __init__(self, endpoint, token):
        self._url, self._headers = f"http://{endpoint}", {"authorization": f"Bearer {token}"}

    def codes(self, phone):
        """All that came there, newest first."""
        query = urlencode({"to": f"+{phone.replace('-', '')}"})
        request = urllib.request.Request(f"{self._url}/v1/inbox?{query}", headers=self._headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
            return [item["code"] for item in json.load(answer)["items"]]

    def code(self, phone):
        return eventually(lambda: self.codes(phone), "a message")[0]


class Place:
    """A server that runs, and who may call it."""

    def __init__(self, house, endpoint):
        self.house, self.endpoint = house, endpoint
        self.accounts = Accounts(house)

    @cached_property
    def demo(self):
        """What a user is given to try things with."""
        told = json.loads(self.house.run("demo", "--json").stdout)["aliyun"]
        assert told["endpoint"] == self.endpoint
        return told

    @cached_property
    def inbox(self):
        return Inbox(self.endpoint, self.accounts.inbox_token())

    def account(self, *words):
        """What `watchword account` prints, as JSON."""
        return json.loads(self.house.run("account", *words, "--dialect", "aliyun").stdout)

    def change(self, *words):
        self.house.run("account", *words, "--dialect", "aliyun")

    def created(self, *words):
        """An account as `account create` makes it, in no directory: its id and its key."""
        return self.account("create", f"shop-{next(_numbers)}", *words, "--json")

    def newcomers(self, amount):
        """Many of them, sooner."""
        names = ("account_id", "ak", "sk")
        made = self.accounts.newcomers(amount)
        return [dict(zip(names, each, strict=True)) for each in made]

    def newcomer(self):
        (made,) = self.newcomers(1)
        return made

    def manager(self):
        """A new account that manages a directory of its own."""
        made = self.newcomer()
        Tea(made, self.endpoint).ask(ENABLE, EnableMode="CurrentAccount")
        return made

    def member(self, made, name="Member"):
        """The id of a new member of this one's directory, without a phone."""
        answer = Tea(made, self.endpoint).ask("CreateResourceAccount", DisplayName=name)
        return answer["Account"]["AccountId"]

    def printed_code(self, to):
        """The newest that came there, as `inbox last` prints it to whoever looks."""
        return self.house.inbox("--to", to, "--code")


@contextmanager
def running(house, settings="", *words, **environ):
    """A place whose server runs in this house, started with these words."""
    house.settings(settings)
    with house.serving(*words, **environ) as serving:
        yield Place(house, urlsplit(serving["base_url"]).netloc)
        hang_up()


def phone():
    """One that no other test uses, of a kind that the virtual carrier serves well."""
    return f"1-2025{next(_numbers):05d}9"


def refusal(call, *given, **named):
    """(status, code) of a call, DONE where it is not refused."""
    refused = None
    try:
        call(*given, **named)
    except ClientException as raised:
        refused = raised
    if refused is None:
        return DONE
    assert refused.request_id
    assert refused.message
    return refused.status_code, refused.code
