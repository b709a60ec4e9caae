"""Partners of Huawei Cloud's dialect, who call a running server by the vendor's own clients."""

import email
import itertools
import json
import re
import urllib.request
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from email import policy
from functools import cached_property

import huaweicloudsdkbss.v2 as china
import huaweicloudsdkbssintl.v2 as intl
import requests
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.smtp_server import receiving
from tests.whole.conftest import DEADLINE_S, eventually

SEND = "/v2/bases/verificationcode/send"
CHECK_IDENTITY = "/v2/partners/sub-customers/users/check-identity"
SETTINGS = """
[channels]
sms = "virtual"
email = "smtp"
[providers.virtual]
slow_s = 0
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
"""
VENDORS_WARNINGS = "ignore:datetime.datetime.utc:DeprecationWarning:huaweicloudsdkcore"
"""The vendor's signer asks the time in a way that newer Pythons deprecate."""
_CONNECTIONS = 40
_numbers = itertools.count(1)


class Mailboxes:
    """A mail server's: who is called refuse is nobody (550), all others keep what they get."""

    def __init__(self):
        self.mails = defaultdict(list)
        self.turned_away = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.startswith("refuse"):
            self.turned_away.append(address)
            return "550 No such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's names
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        self.mails[envelope.rcpt_tos[0]].append(mail)
        return "250 Taken"

    def codes(self, address):
        """All that came for an address, oldest first."""
        return [code_in(mail) for mail in self.mails[address]]


@contextmanager
def mail_server():
    """A mail server on a socket: its port, and its mailboxes."""
    mailboxes = Mailboxes()
    with receiving(mailboxes) as port:
        yield port, mailboxes


def text_of(mail):
    return mail.get_body(("plain",)).get_content()


def code_in(mail):
    (code,) = re.findall(r"\b\d{6}\b", text_of(mail))
    return code


def account(house, *words):
    """What `watchword account` prints, as JSON."""
    return json.loads(house.run("account", *words, "--dialect", "huawei").stdout)


def change(house, *words):
    house.run("account", *words, "--dialect", "huawei")


def created(house, *words):
    """A new account: its ids, names and secrets."""
    return account(house, "create", f"shop-{next(_numbers)}", *words, "--json")


def user_of(house, made):
    """The id of the user that came with an account."""
    (user,) = account(house, "show", made["domain_id"])["users"]
    return user["id"]


class Partner:
    """One who calls: by the clients of both editions, by Keystone's, or by none."""

    def __init__(self, made, base_url, security_token=None):
        self.made, self.base_url = made, base_url
        self._security_token = security_token
        self._open = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._open.close()

    @property
    def credentials(self):
        ak, sk, domain_id = (self.made.get(name) for name in ("ak", "sk", "domain_id"))
        return GlobalCredentials(ak, sk, domain_id).with_security_token(self._security_token)

    def client(self, kind, *, region=None, credentials=None):
        """A client as its makers say to build one; closed with this partner."""
        config = HttpConfig(pool_maxsize=_CONNECTIONS, timeout=DEADLINE_S)
        builder = kind.new_builder().with_http_config(config)
        builder = builder.with_credentials(credentials or self.credentials)
        placed = (
            builder.with_region(Region(region, self.base_url))
            if region
            else builder.with_endpoint(self.base_url)
        )
        client = placed.build()
        self._open.callback(client.close)
        return client

    @cached_property
    def intl(self):
        return self.client(intl.BssintlClient)

    @cached_property
    def china(self):
        return self.client(china.BssClient)

    def session(self, **scope):
        """A Keystone session, which logs in by password where it has to."""
        login = v3.Password(
            f"{self.base_url}/v3",
            username=self.made["user"],
            password=self.made["password"],
            user_domain_name=self.made["domain"],
            **scope,
        )
        connections = self._open.enter_context(requests.Session())
        return Session(login, session=connections, timeout=DEADLINE_S)

    def send(self, address, client=None, **more):
        body = intl.SendVerificationCodeV2Req(receiver_type=2, email=address, **more)
        request = intl.SendVerificationMessageCodeRequest(body=body)
        return (client or self.intl).send_verification_message_code(request)

    def register(self, address, code, **more):
        """Create a customer with a mailbox; its names are new unless they are given."""
        number = next(_numbers)
        named = {"xaccount_id": f"x-{number}", "domain_name": f"customer-{number}", **more}
        body = intl.CreateCustomerV2Req(
            email=address,
            verification_code=code,
            domain_area="SG",
            xaccount_type="shop",
            **named,
        )
        return self.intl.create_sub_customer(intl.CreateSubCustomerRequest(body=body))

    def send_sms(self, phone, **more):
        body = china.SendVerificationCodeV2Req(receiver_type=1, mobile_phone=phone, **more)
        request = china.SendVerificationMessageCodeRequest(body=body)
        return self.china.send_verification_message_code(request)

    def register_phone(self, phone, code):
        body = china.CreateCustomerV2Req(
            mobile_phone=phone,
            verification_code=code,
            xaccount_id=f"x-{next(_numbers)}",
            xaccount_type="shop",
        )
        return self.china.create_sub_customer(china.CreateSubCustomerRequest(body=body))

    def look(self, kind, value):
        """Whether somebody has it, in the vendor's words."""
        body = intl.CheckSubcustomerUserReq(search_type=kind, search_value=value)
        return self.intl.check_user_identity(intl.CheckUserIdentityRequest(body=body)).check_result


class Place:
    """A server that runs, its mailboxes, and who may call it."""

    def __init__(self, house, serving, mailboxes):
        self.house, self.mailboxes = house, mailboxes
        self.base_url, self._admin_url = serving["base_url"], serving["admin_url"]

    def partner(self, *words):
        """A new account, as one who calls."""
        return Partner(created(self.house, *words), self.base_url)

    def code(self, address):
        """The newest that came there."""
        return eventually(lambda: self.mailboxes.codes(address), "a mail")[-1]

    def accounts(self):
        """What `account list` says, by id."""
        return {one["id"]: one for one in account(self.house, "list", "--json")}

    def answered(self):
        """How often each call was answered with each status, by the server's own count."""
        with urllib.request.urlopen(f"{self._admin_url}/metrics", timeout=DEADLINE_S) as metrics:  # noqa: S310
            told = metrics.read().decode()
        counted: Counter[tuple[str, str]] = Counter()
        for labels, count in re.findall(r"_requests_total\{([^}]*)\} (\S+)", told):
            label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            counted[label["route"], label["status"]] += int(float(count))
        return counted


@contextmanager
def running(house, *words, **environ):
    """A place whose server runs in this house, started with these words."""
    with mail_server() as (port, mailboxes):
        house.settings(SETTINGS.format(port=port))
        with house.serving(*words, **environ) as serving:
            yield Place(house, serving, mailboxes)


def refusal(call, *given, **named):
    """(status, error_code) of a call, (200, "") where it is not refused. The vendor's clients read
    both, and a message and the request's id beside them."""
    refused = None
    try:
        call(*given, **named)
    except ServiceResponseException as raised:
        refused = raised
    if refused is None:
        return 200, ""
    assert refused.error_msg
    assert refused.request_id
    return refused.status_code, refused.error_code


def status_with(base_url, token):
    """How a call is answered that brings a token, and repeats nothing."""
    body = {"search_type": "name", "search_value": "nobody"}
    headers = {"X-Auth-Token": token}
    url = f"{base_url}{CHECK_IDENTITY}"
    return requests.post(url, json=body, headers=headers, timeout=DEADLINE_S).status_code
