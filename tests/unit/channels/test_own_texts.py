"""An operator's own texts: laid over ours part by part, and refused with every mistake at once."""

import pytest

from watchword.bootstrap.wording import texts, wording
from watchword.channels.texts import FOLDER, Texts
from watchword.config import Policy, Settings
from watchword.config import Texts as TextSettings
from watchword.domain.app import App
from watchword.domain.message import Words
from watchword.domain.purpose import Purpose
from watchword.errors import ConfigInvalid

PURPOSES = [purpose.value for purpose in Purpose]
SHOP = App(id="shop1", name="Shop")


class Folder:
    """A data folder with own texts."""

    def __init__(self, place):
        self.place = place
        self.settings = Settings(data=str(place))
        self.apps = [SHOP]

    def write(self, name, text):
        path = self.place / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def german(self, *, lacking=()):
        """A whole language of SMS and mail, but for what it lacks."""
        for purpose in PURPOSES:
            for name, text in {
                f"sms/de-de/{purpose}.txt": "{{ brand }}: {{ code }} gilt {{ lifetime }}.",
                f"email/de-de/{purpose}.txt": "{{ brand }}: {{ code }} gilt {{ lifetime }}.",
                f"email/de-de/{purpose}.html": "<p>{{ brand }}: {{ code }}</p>",
                f"email/de-de/{purpose}.subject": "Ihr Code für {{ brand }}",
            }.items():
                if name not in lacking:
                    self.write(name, text)

    def offering(self, *languages, **changes):
        self.settings = Settings(
            data=str(self.place), policy=Policy(languages=languages), **changes
        )

    def said(self, language="en-us", channel="sms", purpose=Purpose.SIGN_IN, app="", **words):
        given = {"code": "492817", "minutes": 10, "brand": "Acme", **words}
        return texts(self.settings, self.apps).render(
            purpose, channel, language, Words(**given), key="k", to="+1", app=app
        )

    @property
    def mistakes(self):
        return wording(self.settings, self.apps).mistakes

    @property
    def notes(self):
        return wording(self.settings, self.apps).notes


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_an_own_text_takes_the_place_of_ours_and_leaves_the_rest(folder):
    folder.write("sms/en-us/sign_in.txt", "{{ code }} opens {{ brand }} for {{ lifetime }}.")
    assert folder.said().text == "492817 opens Acme for 10 minutes."
    assert "code to reset your password" in folder.said(purpose=Purpose.RESET).text
    assert folder.said(channel="email").subject == "Your Acme sign-in code"


def test_an_own_frame_is_taken_by_our_texts(folder):
    folder.write("sms/en-us/_frame.txt", "{{ brand }} {% block use %}{% endblock %}: {{ code }}")
    assert folder.said().text == "Acme sign-in code: 492817"


@pytest.mark.parametrize("name", ["shop1", "Shop"])
def test_an_app_has_its_own_over_everybodys(folder, name):
    """By its id, or by a name that no other has."""
    folder.write("sms/en-us/sign_in.txt", "{{ brand }} everybody {{ code }}")
    folder.write(f"apps/{name}/sms/en-us/sign_in.txt", "{{ brand }} shop {{ code }}")
    assert folder.said(app="shop1").text == "Acme shop 492817"
    assert folder.said(app="other").text == "Acme everybody 492817"
    assert "reset your password" in folder.said(app="shop1", purpose=Purpose.RESET).text


def test_a_name_that_two_apps_have_is_refused(folder):
    folder.apps = [SHOP, App(id="shop2", name="Shop")]
    folder.write("apps/Shop/sms/en-us/sign_in.txt", "{{ brand }} {{ code }}")
    (mistake,) = folder.mistakes
    assert "several apps are called so" in mistake
    assert "shop1, shop2" in mistake


def test_a_folder_for_no_app_is_worth_a_note(folder):
    """The app may come later; by its id, it then finds its texts."""
    folder.write("apps/later/sms/en-us/sign_in.txt", "{{ brand }} later {{ code }}")
    assert "no app has this id or name" in folder.notes[0]
    assert folder.said(app="later").text == "Acme later 492817"


def test_a_language_is_a_folder_and_a_setting(folder):
    folder.german()
    assert folder.notes == ("de-de has words, but is not offered: name it in policy.languages.",)
    folder.offering("en-us", "de-de")
    assert folder.mistakes == ()
    assert folder.said("de-de").text == "Acme: 492817 gilt 10 Minuten."
    assert folder.said("de-de", "email").subject == "Ihr Code für Acme"


def test_a_language_that_lacks_words_is_refused_with_every_gap(folder):
    folder.german(lacking={"sms/de-de/reset.txt", "email/de-de/bind.html"})
    folder.offering("en-us", "de-de", "fr-fr")
    assert folder.mistakes == (
        "sms/de-de: lacks reset.txt; add them to that folder, or take it away.",
        "policy.languages: fr-fr has no words for sms; add them in sms/fr-fr, or take it off the "
        "list.",
        "email/de-de: lacks bind.html; add them to that folder, or take it away.",
        "policy.languages: fr-fr has no words for email; add them in email/fr-fr, or take it off "
        "the list.",
    )


def test_a_channel_that_nothing_carries_needs_no_words(folder):
    """Who sends mails alone translates mails alone."""
    folder.german()
    for path in (folder.place / "templates/sms/de-de").iterdir():
        path.unlink()
    smtp = {"smtp": {"host": "mail.example.com", "sender": "a@example.com"}}
    folder.offering("en-us", "de-de", providers=smtp)
    assert folder.mistakes == ()


def test_a_language_for_one_app_alone_is_refused(folder):
    folder.write("apps/shop1/sms/de-de/sign_in.txt", "{{ brand }} {{ code }}")
    assert any("a language is for everybody" in mistake for mistake in folder.mistakes)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("sms/en-us/signin.txt", "no purpose is called 'signin'; did you mean sign_in.txt?"),
        ("sms/en-us/sign_in.html", "a text of sms ends in .txt."),
        ("sms/sign_in.txt", "a text lies in the folder of a language, as sms/en-us/sign_in.txt."),
        ("pigeon/en-us/sign_in.txt", "a text lies in sms or email, in the folder of a language"),
        ("sign_in.txt", "a text lies in sms or email, in the folder of a language"),
        ("sms/zh_CN/sign_in.txt", "write the language as zh-cn"),
        ("sms/xx-yy/sign_in.txt", "nobody knows this language"),
    ],
)
def test_a_misnamed_text_is_refused(folder, name, complaint):
    """Else it would be a text that nobody ever gets."""
    folder.write(name, "{{ brand }} {{ code }}")
    assert any(complaint in mistake for mistake in folder.mistakes), folder.mistakes


def test_what_lies_beside_the_texts_is_passed_over(folder):
    for name in (".git/config", "README.md", "sms/en-us/sign_in.txt~", "sms/.DS_Store"):
        folder.write(name, "anything")
    assert folder.mistakes == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{ brand }}: hello", "never says {{ code }}"),
        ("{{ brand }} {{ code }}\n@shop.example #{{ code }}", "which binds the code"),
        ("{{ brand }} {{ code }} or call 95588", "says 95588, which a phone may offer"),
        ("{{ brand }} {{ code }} {{ lifetme }}", "did you mean 'lifetime'?"),
        ("{% if code == '1' %}{{ code }}{% endif %}", "may not choose by the code"),
        ('{% extends "sms/en-us/_fram.txt" %}', "extends 'sms/en-us/_fram.txt', which is not"),
        ("{% extends brand %}", "name the frame that it extends"),
        ('{% extends "email/_page.html" %}', "is of another kind"),
        ('{% extends "sms/en-us/sign_in.txt" %}', "in the end extends this one"),
        (
            '{% extends "sms/en-us/_frame.txt" %}{% block ues %}x{% endblock %}',
            "fills a block 'ues' that its frame has not (it has use)",
        ),
        ("{{ code }}" + "x" * 4096, "comes out longer than 4096 bytes"),
        ("{% if minutes == 7 %}{% else %}{{ code }}{% endif %}", "under a condition (line 1)"),
        ("{{ code if minutes == 7 else brand }}", "under a condition (line 1)"),
        ("{% if minutes < brand %}{% endif %}{{ code }}", "compares with a text (line 1)"),
        ("{% if minutes in brand %}{% endif %}{{ code }}", "compares with a text (line 1)"),
        ("{{ 'soon' if minutes != 7 }}{{ code }}", "needs its else (line 1)"),
        ("{{ code }}{% if minutes == 7 %}{% extends brand %}{% endif %}", "under a condition"),
        ("{{ code }}" + 20 * "{{ brand }}", "comes out longer than 4096 bytes"),
        ("{{ code }}{% if minutes == 7 %}{{ 20 * 'x' }}{% endif %}", "may not use Mul"),
        ("{{ code }}{% if minutes == 7 %}" + 4096 * "x" + "{% endif %}", "longer than 4096"),
        ("{% block a %}{{ code }}{{ super }}{% endblock %}", "says 'super'"),
    ],
)
def test_a_text_that_people_would_come_to_harm_by_is_refused(folder, text, complaint):
    """With its place, before anything is delivered."""
    path = folder.write("sms/en-us/sign_in.txt", text)
    found = [mistake for mistake in folder.mistakes if complaint in mistake]
    assert found, folder.mistakes
    assert found[0].startswith(f"{path}: ")
    with pytest.raises(ConfigInvalid) as refused:
        texts(folder.settings, folder.apps)
    assert refused.value.heading == "The texts are wrong:"


@pytest.mark.parametrize(
    ("part", "text", "complaint"),
    [
        ("subject", "{{ code }} is your code", "its subject says the code"),
        ("subject", " ", "its subject is empty"),
        ("html", "<p>Hello</p>", "as html, never says {{ code }}"),
        ("txt", "Hello", "as txt, never says {{ code }}"),
    ],
)
def test_a_mail_that_nobody_could_use_is_refused(folder, part, text, complaint):
    folder.write(f"email/en-us/sign_in.{part}", text)
    assert any(complaint in mistake for mistake in folder.mistakes), folder.mistakes


def test_a_brand_that_a_browser_would_take_for_a_code_is_refused(folder):
    folder.apps = [App(id="a1", name="A", brand="A @b.example #1", origin="a.example")]
    (mistake,) = folder.mistakes
    assert mistake.startswith("App a1 (A): the brand 'A @b.example #1' holds '@b.example #1'")
    assert "watchword app brand a1 TEXT" in mistake


def test_a_markup_in_a_brand_stays_a_brand_in_an_own_page(folder):
    folder.write("email/en-us/sign_in.html", "<p title='{{ brand }}'>{{ brand }} {{ code }}</p>")
    html = folder.said(channel="email", brand="<b>A'B</b>").html
    assert html == "<p title='&lt;b&gt;A&#39;B&lt;/b&gt;'>&lt;b&gt;A&#39;B&lt;/b&gt; 492817</p>"


def test_a_byte_order_mark_costs_nothing(folder):
    """Editors leave one behind; in an SMS it would be a character that is not GSM-7."""
    folder.write("sms/en-us/sign_in.txt", "\ufeff{{ brand }} {{ code }}")
    assert folder.said().text == "Acme 492817"


def test_a_folder_that_is_named_has_to_be_there(folder):
    folder.settings = Settings(data=str(folder.place), texts=TextSettings(folder="nowhere"))
    assert folder.mistakes == (f"texts.folder: there is no folder {folder.place}/nowhere.",)


def test_long_texts_cost_more_and_are_told(folder):
    folder.write("sms/en-us/sign_in.txt", "{{ brand }} {{ code }} " + "blah " * 120)
    (proof,) = [
        one
        for one in wording(folder.settings, ()).proofs
        if (one.channel, one.language, one.purpose) == ("sms", "en-us", "sign_in")
    ]
    assert (proof.encoding, proof.segments) == ("GSM-7", 5)
    assert proof.warnings == ("a carrier charges 5 messages for each (671 septets)",)


@pytest.mark.parametrize(
    ("language", "brand"), [("zh-cn", "商店"), ("zh-tw", "商店"), ("en-us", "Shop")]
)
def test_a_brand_is_said_in_the_language_of_the_message(folder, language, brand):
    assert folder.said(language, brand="Shop", brands={"zh-cn": "商店"}).brand == brand


def test_our_own_texts_need_no_mending():
    assert wording(Settings(data="nowhere"), ()).mistakes == ()
    assert Texts(FOLDER).begun("sms") == ("en-us", "zh-cn")
