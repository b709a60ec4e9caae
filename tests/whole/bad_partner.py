"""A partner of Huawei Cloud's dialect who lives badly: nothing it does may leave a secret."""

import json
import secrets

from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from watchword.bootstrap import now
from watchword.cli import accounts_huawei
from watchword.directory.huawei.customers import Registration
from watchword.domain.destination import mailbox

SEND = "/v2/bases/verificationcode/send"
CREATE = "/v2/partners/sub-customers"
CHECK = "/v2/partners/sub-customers/users/check-identity"
TOKENS = "/v3/auth/tokens"
NEIGHBOUR = "Somebody.With.A.Long.Name@example.com"
NEIGHBOURS_PASSWORD = "h8Qw-" + secrets.token_hex(8)
PHONES = [f"1397725{ending}" for ending in ("5678", "0001", "0002", "0011", "0012", "0013")]
MAILBOXES = [f"{trick}.Another.Long.Part@example.com" for trick in ("taken", "refused", "doubted")]


async def made(service, terms):
    """A partner whose codes have these terms, and one customer who is there already."""
    found = await accounts_huawei.create(service, "shop")
    account = await service.huawei.accounts.account(found["domain_id"], now())
    await service.apps.set_terms(account.app_id, "*", lambda _: terms, now())
    there = Registration(
        xaccount_id="x-there",
        xaccount_type="shop",
        domain_name="neighbour",
        destination=mailbox(NEIGHBOUR),
        password=NEIGHBOURS_PASSWORD,
    )
    customers = service.huawei.customers
    await customers.add(await customers.prepare(account, there, now()), now())
    return found


class BadPartner:
    """Signs as the vendor's client does, and says what it should not wherever it can."""

    def __init__(self, made, calls):
        self._made, self._calls = made, calls

    @property
    def secrets(self):
        """What must be nowhere, and what it is."""
        destinations = [each.partition("@")[0] for each in (*PHONES, *MAILBOXES, NEIGHBOUR)]
        own = (self._made["sk"], self._made["password"], NEIGHBOURS_PASSWORD)
        return {**dict.fromkeys(destinations, "to"), **dict.fromkeys(own, "credential")}

    def send_everywhere(self):
        for phone in PHONES:
            self.post(SEND, {"receiver_type": 1, "mobile_phone": phone})
        for address in MAILBOXES:
            self.post(SEND, {"receiver_type": 2, "email": address})
            self.post(SEND, {"receiver_type": 2, "email": address, "lang": "en-us"})

    def go_wrong(self, code):
        """Requests that are refused, each with a code, an address or a password in it."""
        sk, address, phone = self._made["sk"], MAILBOXES[0], PHONES[0]
        for wrong in (
            {"receiver_type": code, "email": address},
            {"receiver_type": 2, "email": f"{address} {code}"},
            {"receiver_type": 2, "email": [address, code]},
            {"receiver_type": 2, "email": address, "lang": code + sk},
            {"receiver_type": 1, "mobile_phone": f"{phone}{code}"},
            {"receiver_type": 1, "mobile_phone": phone, "scene": code},
        ):
            self.post(SEND, wrong)
        customer = {"xaccount_id": "x", "xaccount_type": "shop", "domain_area": "SG"}
        for typed in (code, code[:6], "12345!"):
            self.post(CREATE, {**customer, "email": address, "verification_code": typed})
        self.post(CREATE, {**customer, "password": f"{NEIGHBOURS_PASSWORD}{address}"})
        self.post(CREATE, {**customer, "domain_name": f"{code} {address}"})
        for kind, value in (("email", NEIGHBOUR), ("mobile", phone), (code, address)):
            self.post(CHECK, {"search_type": kind, "search_value": value})
        self._log_in("admin", self._made["password"] + "x")
        self._log_in(address, sk)
        self._calls.post(SEND, json={"email": address}, headers={"x-auth-token": sk})
        self._calls.post(SEND, json={"email": address}, headers={"authorization": f"{sk} {code}"})
        self.post(SEND, {"receiver_type": 2, "email": address}, sk=code)
        self.post(f"/v2/bases/{code}", {"email": address})

    def token(self):
        """A token, from the one answer that has to tell it."""
        return self._log_in("admin", self._made["password"]).headers["x-subject-token"]

    def post(self, path, asked, sk=None):
        """As the vendor's client signs it, with the right secret or another."""
        body = json.dumps(asked).encode()
        host = f"{self._calls.base_url.host}:{self._calls.base_url.port}"
        headers = {"Content-Type": "application/json", "Host": host}
        request = SdkRequest("POST", "http", host, path, None, [], headers, body)
        Signer(GlobalCredentials(self._made["ak"], sk or self._made["sk"])).sign(request)
        return self._calls.post(path, content=body, headers=request.header_params)

    def _log_in(self, user, password):
        domain = {"name": self._made["domain"]}
        who = {"user": {"name": user, "password": password, "domain": domain}}
        identity = {"methods": ["password"], "password": who}
        return self._calls.post(TOKENS, json={"auth": {"identity": identity}})
