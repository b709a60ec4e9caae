"""What an app is called in the language of each message, whenever that message was queued."""

import msgspec

from watchword.domain import destination
from watchword.domain.app import App
from watchword.domain.purpose import Purpose
from watchword.providers.virtual import Virtual
from watchword.service.issue import Recipient, Send, issue

ANN = destination.phone("+8613800138000")


def test_a_recipient_sealed_before_there_were_brands_is_read():
    """A message that waited through the upgrade is not lost."""
    now = msgspec.msgpack.encode(
        Recipient(to=ANN, language="zh-cn", app_language="", brand="Shop", origin="")
    )
    before = msgspec.msgpack.encode(msgspec.msgpack.decode(now)[:5])
    read = msgspec.msgpack.decode(before, type=Recipient)
    assert (read.to, read.brand, read.brands) == (ANN, "Shop", {})


async def test_a_message_says_the_brand_of_its_language(acts, working, tmp_path):
    app = App(id="a1", name="shop", brand="Shop", brands={"zh-cn": "商店"})
    carrier = Virtual(tmp_path / "inbox.db", acts.house.keys, clock=lambda: acts.now)
    async with working(carrier) as lane:
        for number, language in enumerate(("zh-cn", "en-us")):
            to = destination.phone(f"+861380013800{number}")
            send = Send(
                app=app, purpose=Purpose.SIGN_IN, destination=to, channel="sms", language=language
            )
            await issue(send, acts.house, now=acts.now)
            await lane.ended()
        chinese, english = await carrier.received()
    await carrier.close()
    assert chinese.text.startswith("【商店】")
    assert english.text.startswith("Shop: ")
