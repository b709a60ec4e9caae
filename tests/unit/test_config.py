"""Settings: one file, one environment, and every mistake at once."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

import watchword
from watchword import config
from watchword.bootstrap import carriers
from watchword.captchas import altcha, jigsaw, turnstile
from watchword.config import Confidential, Limit, Postgresql, Settings
from watchword.errors import ConfigInvalid
from watchword.providers import smtp, virtual

SAMPLE = Path(watchword.__file__).parent / "watchword.sample.toml"
CAPTCHAS = [
    ("jigsaw", jigsaw.Settings, set()),
    ("altcha", altcha.Settings, set()),
    ("turnstile", turnstile.Settings, {"site_key", "secret"}),
]
PASSWORD = "correct horse battery staple"


def loaded(tmp_path, text="", **environ):
    (tmp_path / "watchword.toml").write_text(text, encoding="utf-8")
    named = {f"WATCHWORD_{name}": value for name, value in environ.items()}
    return config.load(str(tmp_path), None, named)


def mistakes(tmp_path, text="", **environ):
    with pytest.raises(ConfigInvalid) as caught:
        loaded(tmp_path, text, **environ)
    return caught.value.mistakes


def sample():
    """The sample with every setting switched on."""
    text = SAMPLE.read_text(encoding="utf-8")
    return tomllib.loads(re.sub(r"(?m)^#(?=\w+ = |\[)", "", text))


def default(struct):
    return {
        field.name: default(field.type)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        else getattr(struct(), field.name)
        for field in msgspec.structs.fields(struct)
        if field.name != "providers"
    }


def with_limits(settings):
    """The sample's limits as the settings hold them."""
    return {
        name: tuple(map(config.parse_limit, value)) if isinstance(value, list) else value
        for name, value in settings.items()
    }


def test_the_sample_names_every_setting_with_its_default():
    """The sample is the manual, so it is whole and true."""
    written = sample()
    del written["providers"]
    written["captcha"]["kinds"] = tuple(written["captcha"]["kinds"])
    written["captcha"] |= {name: Confidential() for name, *_ in CAPTCHAS}
    for section in ("limits", "huawei", "aliyun", "ciam", "captcha"):
        written[section] = with_limits(written[section])
    written["lanes"] = {name: with_limits(lane) for name, lane in written["lanes"].items()}
    written["policy"]["languages"] = tuple(written["policy"]["languages"])
    written["trusted_proxies"] = tuple(written["trusted_proxies"])
    assert written == default(Settings)


@pytest.mark.parametrize(
    ("name", "kind", "required"),
    [("smtp", smtp.Settings, {"host", "sender"}), ("virtual", virtual.Settings, set())],
)
def test_the_sample_names_what_a_provider_needs(name, kind, required):
    """So are the settings of each provider."""
    written = sample()["providers"][name]
    assert written.keys() == {field.name for field in msgspec.structs.fields(kind)}
    given = {key: value for key, value in written.items() if key in required}
    assert msgspec.convert(written, kind) == kind(**given)


@pytest.mark.parametrize(("name", "kind", "required"), CAPTCHAS)
def test_the_sample_names_what_a_captcha_needs(name, kind, required):
    """So are those of each kind of captcha."""
    written = sample()["captcha"][name]
    assert written.keys() == {field.name for field in msgspec.structs.fields(kind)}
    given = {key: value for key, value in written.items() if key in required}
    assert msgspec.convert(written, kind) == kind(**given)


def test_the_sample_loads_as_it_is():
    assert config.load(None, str(SAMPLE), {}) == Settings()


def test_without_anything_the_defaults_hold(tmp_path):
    """A first start needs no file."""
    settings = config.load(str(tmp_path), None, {})
    assert settings == Settings(data=str(tmp_path))
    assert settings.store_path == tmp_path / "watchword.db"
    assert settings.keyring_path == tmp_path / "keyring.json"


def test_the_environment_wins_over_the_file(tmp_path):
    """A container changes a setting without writing a file."""
    text = '[server]\nport = 1\nhost = "127.0.0.2"\n[limits]\nby_network = true\n'
    settings = loaded(tmp_path, text, SERVER__PORT="0", LIMITS__BY_NETWORK="false", SANDBOX="1")
    assert (settings.server.host, settings.server.port) == ("127.0.0.2", 0)
    assert not settings.limits.by_network
    assert settings.sandbox


@pytest.mark.parametrize(
    "written", ["10/1h, 5000/day Asia/Shanghai", '["10/1h","5000/day Asia/Shanghai"]']
)
def test_a_list_in_the_environment_is_json_or_has_commas(tmp_path, written):
    settings = loaded(tmp_path, LIMITS__APP=written)
    assert settings.limits.app == (Limit(10, 3600), Limit(5000, span="day", zone="Asia/Shanghai"))


def test_the_data_folder_asked_for_wins(tmp_path):
    """--data, then WATCHWORD_DATA, then the file."""
    file = tmp_path / "some.toml"
    file.write_text('data = "/from/file"')
    named = {"WATCHWORD_DATA": "/from/environment"}
    assert config.load("/asked/for", str(file), named).data == "/asked/for"
    assert config.load(None, str(file), named).data == "/from/environment"
    assert config.load(None, str(file), {}).data == "/from/file"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10/1h", Limit(10, 3600)),
        ("30/24h", Limit(30, 86_400)),
        ("1/90s", Limit(1, 90)),
        ("10000/7d", Limit(10_000, 604_800)),
        ("3 / 15m", Limit(3, 900)),
        ("5000/day Asia/Shanghai", Limit(5000, span="day", zone="Asia/Shanghai")),
        ("100000/month Europe/Berlin", Limit(100_000, span="month", zone="Europe/Berlin")),
    ],
)
def test_a_limit_reads_as_it_is_written(text, limit):
    assert config.parse_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "10/h", "10/1w", "0/1h", "10001/1h", "1/0s", "1/9999d", "-1/1h", "1.5/1h"),
        *("5/day", "5/day Mars/Olympus", "5/day ../../etc/passwd", "0/day UTC", "5/week UTC"),
    ],
)
def test_what_is_no_limit_is_refused(text):
    """A limit that was mistyped never becomes no limit."""
    with pytest.raises(ValueError, match=r"limit|window|zone|write"):
        config.parse_limit(text)


def test_every_mistake_is_told_at_once_by_its_path(tmp_path):
    """Nobody restarts five times to find five mistakes."""
    text = """
    stroe = "x"
    sandbox = 3
    trusted_proxies = ["10.0.0.0/8", "nobody"]
    policy = 3
    [server]
    prot = 1
    port = 99999
    [limits]
    destination = ["10/1h", "ten an hour"]
    app = "10/1h"
    [channels]
    sms = "smpt"
    [providers.smpt]
    host = "mail.example.com"
    """
    told = mistakes(tmp_path, text, LIMITS__BY_NETWORK="perhaps", SERVER__HOSTS="x")
    assert sorted(mistake.split(":")[0] for mistake in told) == sorted(
        [
            *("stroe", "sandbox", "trusted_proxies", "policy", "server.prot", "server.port"),
            *("server.hosts", "limits.destination", "limits.app", "limits.by_network"),
            *("channels.sms", "providers.smpt"),
        ]
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('stroe = "x"', "stroe: unknown; did you mean store?"),
        ("[server]\nprot = 1", "server.prot: unknown; did you mean server.port?"),
        ("[providers.smpt]", "providers.smpt: unknown; did you mean providers.smtp?"),
        (
            '[channels]\nemail = "smpt"',
            "channels.email: there is no provider 'smpt'; did you mean smtp?",
        ),
    ],
)
def test_a_mistyped_name_is_met_with_the_right_one(tmp_path, text, told):
    assert mistakes(tmp_path, text) == (told,)


def test_a_mistyped_variable_is_found_and_a_strange_one_is_left_alone(tmp_path):
    """Kubernetes names variables after a service called watchword; they are not ours."""
    loaded(tmp_path, SERVICE_HOST="10.0.0.1", PORT_8080_TCP="tcp://10.0.0.1", URL="x", KEY="x")
    assert mistakes(tmp_path, STOER="sqlite:///codes.db") == (
        "WATCHWORD_STOER: unknown; did you mean WATCHWORD_STORE?",
    )


def test_a_section_and_a_setting_with_one_underscore_between_are_not_taken_for_strange(tmp_path):
    """But for the addresses that Kubernetes sets for services named like us."""
    address = "tcp://10.0.0.1:8080"
    loaded(tmp_path, PORT=address, SERVER_PORT=address, CAPTCHA_PORT=address)
    assert mistakes(tmp_path, CAPTCHA_TTL_S="60", SERVER_PORT="9000") == (
        "WATCHWORD_CAPTCHA_TTL_S: unknown; did you mean WATCHWORD_CAPTCHA__TTL_S?",
        "WATCHWORD_SERVER_PORT: unknown; did you mean WATCHWORD_SERVER__PORT?",
    )


@pytest.mark.parametrize(
    ("store", "word"),
    [
        ("valkey://example.com", "not in this version"),
        ("redis://:hunter2@example.com", "not in this version"),
        ("mysql://codes:hunter2@example.com/codes", "postgresql://"),
        ("sqlite://codes.db", "sqlite:///"),
        ("sqlite:///", "sqlite:///"),
        ("codes.db", "sqlite:///"),
        ("postgresql:codes", "write postgresql://"),
        ("postgresql://", "names no database"),
        ("postgresql://codes:hunter2@example.com", "names no database"),
        ("postgresql://codes:hunter2@example.com/?sslmode=require", "names no database"),
        ("postgresql://codes:hunter2@example.com:port/codes", "host:port"),
        ("postgresql://codes:hunter2@one:5432;two/codes", "host:port"),
        ("postgresql://codes:hunter2@one/codes/more", "%2F"),
        ("postgresql://codes:hunter2@one/codes?sslmode", "name=value"),
        ("postgresql://codes:hunter2@one/codes?sslmode=verify", "verify-full"),
        ("postgresql://codes:hunter2@one/codes?target_session_attrs=writable", "read-write"),
        ("postgresql://codes:hunt@er2@one/codes", "%40"),
        ("postgresql://codes:hunt/er2@one/codes", "%2F"),
        ("postgresql://codes:hunt?er2@one/codes", "%40"),
        ("postgresql://codes:hunt#er2@one/codes", "%40"),
        ("postgresql://codes:hunt[er2@one/codes", "%40"),
        ("postgresql://codes:hunt er2@one/codes", "%40"),
        ("postgresql://codes:hunter²@one/codes", "%40"),
    ],
)
def test_a_store_that_cannot_be_is_a_mistake(tmp_path, store, word):
    """It is said at the start, not at the first send, and without the password."""
    (told,) = mistakes(tmp_path, f'store = "{store}"')
    assert told.startswith("store: ")
    assert word in told
    assert "hunt" not in told
    assert "er2" not in told


@pytest.mark.parametrize(
    ("store", "printed"),
    [
        ("postgresql://codes:hunter2@db.example.com/codes", "postgresql://db.example.com/codes"),
        ("postgres://db:6543/codes?password=hunter2", "postgresql://db:6543/codes"),
        (
            "postgresql://codes:hunter2@one:5432,two:5433/codes?target_session_attrs=read-write",
            "postgresql://one:5432,two:5433/codes",
        ),
        ("postgresql://codes:hunter2@[::1]:5432/codes", "postgresql://[::1]:5432/codes"),
        ("postgresql://db?dbname=codes&password=hunter2", "postgresql://db/codes"),
        ("postgresql:///codes?host=/run/postgresql", "postgresql:///run/postgresql/codes"),
        ("postgresql://:hunter%402@%2Frun%2Fpg/codes", "postgresql://%2Frun%2Fpg/codes"),
        ("postgresql:///codes", "postgresql:///codes"),
    ],
)
def test_a_server_prints_as_hosts_and_database(tmp_path, store, printed):
    """Settings end up in logs and reports; whoever connects asks for all of it."""
    settings = loaded(tmp_path, STORE=store)
    assert settings.address.whole == store
    assert type(settings.address.whole) is str
    assert not settings.address.is_embedded
    assert f"{settings.address}" == str(settings.address) == printed
    assert repr(printed) in repr(settings)
    for shown in (repr(settings), str(settings), f"{settings.store:>99}", "%s" % settings.store):  # noqa: UP031
        assert "hunter" not in shown


def test_settings_made_by_hand_print_no_password_either():
    """Nor does an address that nobody checked."""
    for store in ("postgresql://codes:hunter2@db/codes", "postgresql://codes:hunt/er2@db", "x:y"):
        settings = Settings(store=store)
        assert settings.address.whole == store
        assert "hunt" not in repr(msgspec.structs.replace(settings, sandbox=True))


def test_what_postgresql_is_given_comes_from_its_section(tmp_path):
    assert loaded(tmp_path).postgresql == Postgresql(connections=10, pgbouncer=False)
    settings = loaded(tmp_path, "[postgresql]\nconnections = 4\n", POSTGRESQL__PGBOUNCER="true")
    assert settings.postgresql == Postgresql(connections=4, pgbouncer=True)
    for few in (0, 101):
        (told,) = mistakes(tmp_path, f"[postgresql]\nconnections = {few}\n")
        assert told.startswith("postgresql.connections: ")


def test_a_store_anywhere_has_four_slashes(tmp_path):
    settings = loaded(tmp_path, 'store = "sqlite:////var/lib/codes.db"')
    assert settings.store_path == Path("/var/lib/codes.db")


def test_a_password_is_never_printed(tmp_path):
    """Settings end up in logs and reports; passwords must not."""
    text = f'[providers.smtp]\nhost = "mail.example.com"\npassword = "{PASSWORD}"'
    settings = loaded(tmp_path, text)
    assert settings.providers["smtp"]["password"] == PASSWORD
    for printed in (repr(settings), str(settings), str(settings.providers["smtp"])):
        assert PASSWORD not in printed
    assert isinstance(settings.providers["smtp"], Confidential)


@pytest.mark.parametrize(
    "text", [f'store = ["{PASSWORD}"]', f'[server]\nport = "{PASSWORD}"', f'a = "{PASSWORD}" b']
)
def test_a_mistake_does_not_quote_what_may_be_a_password(tmp_path, text):
    """A secret put in the wrong place stays unsaid."""
    assert PASSWORD not in "\n".join(mistakes(tmp_path, text))


def test_a_provider_gets_the_environment_as_text(tmp_path):
    """A password of digits stays a password; the provider reads its own numbers."""
    environ = {"PROVIDERS__SMTP__PASSWORD": "12345", "PROVIDERS__SMTP__PORT": "2525"}
    settings = loaded(tmp_path, **environ)
    given = {"host": "mail.example.com", "sender": "a@example.com", **settings.providers["smtp"]}
    read = msgspec.convert(given, smtp.Settings, strict=False)
    assert (read.password, read.port) == ("12345", 2525)


def test_a_file_that_is_missing_or_broken_is_a_mistake(tmp_path):
    """A named file that is not there is no reason to run on defaults."""
    with pytest.raises(ConfigInvalid, match="no such file"):
        config.load(str(tmp_path), str(tmp_path / "absent.toml"), {})
    assert "not TOML" in mistakes(tmp_path, "port = = 1")[0]


def test_a_data_folder_cannot_name_another(tmp_path):
    """Who reads a folder's file already found the folder."""
    (told,) = mistakes(tmp_path, 'data = "/elsewhere"')
    assert told.startswith("data: ")


def test_a_captcha_has_a_section_of_its_own(tmp_path):
    """Its secret may come from the environment, and is never printed."""
    text = '[captcha]\nkinds = ["turnstile"]\n[captcha.turnstile]\nsite_key = "0x4"\n'
    settings = loaded(tmp_path, text, CAPTCHA__TURNSTILE__SECRET=PASSWORD, CAPTCHA__TTL_S="60")
    assert settings.captcha.kinds == ("turnstile",)
    assert settings.captcha.ttl_s == 60
    assert settings.captcha.turnstile == {"site_key": "0x4", "secret": PASSWORD}
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[captcha]\nkinds = []", "captcha.kinds"),
        ('[captcha]\nkinds = ["slider"]', "captcha.kinds"),
        ('[captcha]\nwrong = ["thirty"]', "captcha.wrong"),
        ('[captcha]\njigsaw = "yes"', "captcha.jigsaw"),
        ("[captcha.jigsw]\nahead = 3", "captcha.jigsw"),
        ('[ciam]\nlanguage = "fr"', "ciam.language"),
        ('[ciam]\norigin = ["https://shop.example.com"]', "ciam.origin"),
        ('[ciam]\norigins = ["https://shop.example.com/"]', "ciam.origins"),
        ('[ciam]\norigins = ["*", "shop.example.com"]', "ciam.origins"),
    ],
)
def test_a_mistake_about_ciam_is_told_by_its_path(tmp_path, text, path):
    assert [mistake.split(":")[0] for mistake in mistakes(tmp_path, text)] == [path]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('log = "xml"', "log: is one of json, text."),
        ('[captcha]\nkinds = ["slider"]', "captcha.kinds: is a list, each one of {}."),
        ("[captcha]\nkinds = []", "captcha.kinds: names at least one of {}."),
        ("sandbox = 3", "sandbox: expected true or false, got a whole number."),
        ("[policy]\nlength = 3", "policy.length: expected a whole number of at least 6."),
        ('[policy]\nlength = "six"', "policy.length: expected a whole number, got a text."),
        ("[policy]\nlanguages = []", "policy.languages: expected a list that is not empty."),
        ("trusted_proxies = 1", "trusted_proxies: expected a list, got a whole number."),
        (
            '[policy]\nlanguages = ["zh_CN"]',
            'policy.languages: "zh_CN" is no language: write zh-cn.',
        ),
    ],
)
def test_a_mistake_is_told_in_plain_words(tmp_path, text, told):
    """Not in Python's."""
    assert mistakes(tmp_path, text) == (told.format("jigsaw, altcha, turnstile"),)


def test_a_mistake_in_the_environment_names_its_variable(tmp_path):
    """Nobody looks for it in the file."""
    told = mistakes(tmp_path, CIAM__LANGUGE="zh", LIMITS__BY_NETWORK="perhaps")
    assert sorted(told) == [
        "ciam.languge: unknown; did you mean WATCHWORD_CIAM__LANGUAGE? "
        "(from WATCHWORD_CIAM__LANGUGE)",
        "limits.by_network: expected true or false, got a text "
        "(from WATCHWORD_LIMITS__BY_NETWORK).",
    ]


def test_what_a_provider_and_a_captcha_are_given_is_told_at_once(tmp_path):
    """Each by its path, with the name that was meant."""
    text = """
    [providers.smtp]
    hots = "mail.example.com"
    port = 99999
    security = "ssl"
    [captcha.jigsaw]
    ahed = 3
    [captcha.altcha]
    cost = 0
    """
    with pytest.raises(ConfigInvalid) as caught:
        carriers.check(loaded(tmp_path, text))
    assert caught.value.mistakes == (
        "providers.smtp.hots: unknown; did you mean providers.smtp.host?",
        "providers.smtp.host: is missing.",
        "providers.smtp.sender: is missing.",
        "providers.smtp.port: expected a whole number of at most 65535.",
        "providers.smtp.security: is one of starttls, tls, none.",
        "captcha.jigsaw.ahed: unknown; did you mean captcha.jigsaw.ahead?",
        "captcha.altcha.cost: expected a whole number of at least 1.",
    )
