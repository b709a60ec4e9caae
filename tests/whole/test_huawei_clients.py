"""Programs written for Huawei Cloud, over a socket: its own clients as they are installed."""

import json
import shlex
import subprocess
import sys

import pytest
from huaweicloudsdkbssintl.v2 import BssintlClient
from huaweicloudsdkcore.auth.credentials import GlobalCredentials

from tests.node_clients import NodeFailed
from tests.whole.conftest import DEADLINE_S, WATCHWORD, eventually
from tests.whole.huawei import (
    SEND,
    VENDORS_WARNINGS,
    Partner,
    account,
    code_in,
    refusal,
    running,
    text_of,
    user_of,
)

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.filterwarnings(VENDORS_WARNINGS)]

PROGRAM = """
import sys
from huaweicloudsdkbssintl.v2 import *
from huaweicloudsdkbssintl.v2.region.bssintl_region import BssintlRegion
from huaweicloudsdkcore.auth.provider import EnvCredentialProvider

client = (
    BssintlClient.new_builder()
    .with_credentials(EnvCredentialProvider.get_global().get_credentials())
    .with_region(BssintlRegion.value_of("ap-southeast-1"))
    .build()
)
if sys.argv[1] == "send":
    wanted = SendVerificationCodeV2Req(receiver_type=2, email=sys.argv[2])
    request = SendVerificationMessageCodeRequest(body=wanted)
    print(client.send_verification_message_code(request).status_code)
else:
    customer = CreateCustomerV2Req(
        email=sys.argv[2],
        verification_code=sys.argv[3],
        domain_area="SG",
        xaccount_id="of-a-program",
        xaccount_type="shop",
    )
    print(client.create_sub_customer(CreateSubCustomerRequest(body=customer)).domain_id)
"""


@pytest.fixture(scope="module")
def place(new_house):
    with new_house() as house, running(house) as place:
        yield place


@pytest.fixture(scope="module")
def partner(place):
    """One whom no test changes."""
    with place.partner() as partner:
        yield partner


def test_a_mailed_code_makes_a_customer(place, partner):
    """The vendor's order of calls: look, send, create. A code counts once."""
    assert partner.look("email", "ann@example.com") == "available"
    assert partner.send("ann@example.com").status_code == 204
    code = place.code("ann@example.com")
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    assert refusal(partner.register, "ann@example.com", wrong) == (400, "CBC.99004010")
    named = {"domain_name": "ann-lee", "xaccount_id": "x-of-ann"}
    customer = partner.register("ann@example.com", code, **named)
    assert customer.domain_name == "ann-lee"
    assert partner.look("email", "ann@example.com") == "used_by_user"
    assert partner.look("name", "ann-lee") == "used_by_user"
    assert partner.look("name", "ann-leer") == "available"
    found = place.accounts()[customer.domain_id]
    assert (found["name"], found["kind"]) == ("ann-lee", "customer")
    assert found["partner"] == partner.made["domain_id"]
    shown = account(place.house, "show", customer.domain_id)
    assert (shown["xaccount_id"], shown["area"]) == ("x-of-ann", "SG")
    assert (shown["address"], shown["xaccount_type"]) == ("a***@example.com", "shop")
    assert refusal(partner.register, "ann@example.com", code) == (400, "CBC.99004008")


@pytest.mark.parametrize(
    ("lang", "subject", "words"),
    [
        (None, "注册验证码", "您正在注册"),
        ("zh-cn", "注册验证码", "您正在注册"),
        ("en-us", "sign-up code", "Enter this code to create your"),
    ],
)
def test_a_mail_speaks_chinese_unless_asked_for_english(place, partner, lang, subject, words):
    address = f"bea.{lang}@example.com"
    partner.send(address, lang=lang)
    (mail,) = eventually(lambda: place.mailboxes.mails[address], "a mail")
    assert subject in mail["subject"]
    assert partner.made["domain"] in mail["subject"]
    assert words in text_of(mail)
    assert code_in(mail)


def test_a_client_without_a_domain_id_looks_it_up(place, partner):
    """Built with a region, it asks IAM first and then sends as usual."""
    before = place.answered()
    nameless = GlobalCredentials(partner.made["ak"], partner.made["sk"])
    nameless.with_iam_endpoint(place.base_url)
    client = partner.client(BssintlClient, region="ap-southeast-1", credentials=nameless)
    assert client.get_credentials().domain_id == partner.made["domain_id"]
    assert partner.send("cyd@example.com", client).status_code == 204
    assert place.answered() - before == {("huawei_domains", "200"): 1, ("huawei_send", "204"): 1}


def test_a_client_with_a_domain_id_asks_nobody(place, partner):
    before = place.answered()
    client = partner.client(BssintlClient, region="ap-southeast-1")
    assert partner.send("dan@example.com", client).status_code == 204
    assert place.answered() - before == {("huawei_send", "204"): 1}


@pytest.mark.parametrize("without", ["HUAWEICLOUD_SDK_DOMAIN_ID", "NOTHING"])
def test_a_program_is_redirected_by_its_environment_alone(place, tmp_path, without):
    """As docs/huawei.md says it: eval what demo prints, then run the program as it is."""
    (tmp_path / "program.py").write_text(PROGRAM)
    address = f"eve.{len(without)}@example.com"

    def program(*words):
        demo = shlex.join([str(WATCHWORD), "demo", "--dialect", "huawei", "--data"])
        run = shlex.join([sys.executable, str(tmp_path / "program.py"), *words])
        line = f'eval "$({demo} {place.house.folder})"; unset {without}; {run}'
        ran = subprocess.run(
            ["bash", "-c", line],
            env=place.house.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    assert program("send", address) == "204"
    if without != "NOTHING":
        return
    assert program("create", address, place.code(address)) in place.accounts()


def test_the_node_client_sends_and_creates(place, partner, node):
    """Huawei Cloud's core for Node, with a domain id and without."""
    made = partner.made
    known = {"endpoint": place.base_url, "ak": made["ak"], "sk": made["sk"]}

    def call(url, data, **more):
        request = {
            "method": "POST",
            "url": url,
            "contentType": "application/json",
            "headers": {"Content-Type": "application/json"},
            "data": data,
        }
        return node("send", **known, **more, request=request)

    address = "ike@example.com"
    asked = {"receiver_type": 2, "email": address, "lang": "en-us"}
    assert call(SEND, asked, domainId=made["domain_id"]) == {"httpStatusCode": 204}
    looked_up = {"region": "ap-southeast-1", "iamEndpoint": place.base_url}
    assert call(SEND, asked, **looked_up) == {"httpStatusCode": 204}
    new = {
        "email": address,
        "verification_code": place.code(address),
        "domain_area": "SG",
        "domain_name": "ike-lee",
        "xaccount_id": "伊克",
        "xaccount_type": "shop",
    }
    customer = call("/v2/partners/sub-customers", new, **looked_up)
    assert customer["domain_name"] == "ike-lee"
    assert partner.look("email", address) == "used_by_user"
    with pytest.raises(NodeFailed) as refused:
        call("/v2/partners/sub-customers", new, **looked_up)
    assert refused.value.thrown["errorCode"] == "CBC.99004008"


def test_the_china_edition_texts_a_phone(place, partner):
    """Scene 29, which is usual, and 18, whose code makes no customer."""
    assert partner.send_sms("13800138000").status_code == 204
    code = place.house.inbox("--code", "--to", "+86 138 0013 8000")
    customer = partner.register_phone("13800138000", code)
    assert partner.look("mobile", "0086-13800138000") == "used_by_user"
    assert partner.look("name", customer.domain_name) == "used_by_user"

    card = {"scene": 18, "customer_id": customer.domain_id}
    assert refusal(partner.send_sms, "13800138005", scene=18) == (400, "CBC.0100")
    assert partner.send_sms("13800138005", **card).status_code == 204
    assert partner.send_sms("13800138006", scene=29, lang="en-us").status_code == 204
    inbox = json.loads(place.house.run("inbox", "list", "--json").stdout)
    texts = {one["to"]: one for one in inbox}
    assert "注册" in texts["+8613800138000"]["text"]
    assert "account" in texts["+8613800138006"]["text"]
    code = texts["+8613800138005"]["code"]
    assert refusal(partner.register_phone, "13800138005", code) == (400, "CBC.99004008")


def test_a_temporary_key_counts_with_its_security_token_alone(place, partner):
    """And not longer than it was made for."""
    user = user_of(place.house, partner.made)
    made = account(place.house, "key", user, "--ttl-s", "60", "--json")
    token = made["security_token"]
    with (
        Partner(made, place.base_url, token) as whole,
        Partner(made, place.base_url) as bare,
        Partner(made, place.base_url, token[::-1]) as wrong,
    ):
        assert whole.send("joe@example.com").status_code == 204
        assert refusal(bare.send, "joe@example.com") == (401, "APIGW.0301")
        assert refusal(wrong.send, "joe@example.com") == (401, "APIGW.0301")
    made = account(place.house, "key", user, "--ttl-s", "1", "--json")
    with Partner(made, place.base_url, made["security_token"]) as short:
        look = lambda: refusal(short.look, "name", "nobody")  # noqa: E731
        eventually(lambda: look() == (401, "APIGW.0301"), "the key's end")
