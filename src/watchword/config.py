"""Settings: frozen, read once, at the door.

They come from `watchword.toml` in the data folder (or the file that `--config` names), overlaid by
`WATCHWORD_SECTION__NAME` from the environment. Every mistake is told at once, by its key path.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from watchword.errors import ConfigInvalid

FILE = "watchword.toml"
PREFIX = "WATCHWORD_"

_QUOTED = re.compile(r"`([^`]+)`")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a section",
    "null": "nothing",
}
_SIGNS = {" of length >= 1": " that is not empty", " >= ": " of at least ", " <= ": " of at most "}
T = TypeVar("T")
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_LARGEST_TRAILING = 10_000
_LONGEST_TRAILING_S = 366 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TRAILING = re.compile(r"(\d{1,12})\s*/\s*(\d{1,9})([smhd])")
_CALENDAR = re.compile(r"(\d{1,12})\s*/\s*(day|month)\s+(\S+)")
_SERVER = re.compile(
    r"(?:postgresql|postgres)://(?:[^@/?#\[\]]*@)?(?P<hosts>[^@/?#]*)"
    r"(?:/(?P<database>[^@/?#]*))?(?:\?(?P<options>[^@#]*))?"
)
_PLAIN = re.compile(r"[!-~]+")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::\d{1,5})?")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")
_COLLECTOR = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?(?:/[\w./-]*)?", re.ASCII
)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*")
_OPTIONS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": (
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
}
_LARGEST_PORT = 65_535
_WRITE_A_SERVER = "write postgresql://user@host:port/database"
_PROVIDERS = Path(__file__).parent / "providers"
# The command line's own variables. Other names that resemble no setting are not ours to judge:
# Kubernetes, for one, sets WATCHWORD_SERVICE_HOST wherever a service has our name, and
# WATCHWORD_SERVER_PORT=tcp://... where one is called watchword-server.
_NOT_SETTINGS = frozenset({"URL", "KEY"})
_ADDRESS = "://"


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the service listens; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: _Port = 8080
    admin_host: str = "127.0.0.1"
    admin_port: _Port = 9464


class Postgresql(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How each process uses a PostgreSQL store; `pgbouncer` says that one pools transactions."""

    connections: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    pgbouncer: bool = False


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key ring's file."""

    path: str = "keyring.json"


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many days the journal is kept; 0 is for ever."""

    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 90


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The native dialect's terms, for every purpose; an app may change them for its own."""

    length: Annotated[int, msgspec.Meta(ge=6, le=16)] = 6
    ttl_s: Annotated[int, msgspec.Meta(ge=30, le=3600)] = 600
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    resend_interval_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 60
    resend: Literal["same", "newest", "any"] = "same"
    languages: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("en-us", "zh-cn")


class Limit(msgspec.Struct, frozen=True):
    """`amount` in `window_s` seconds trailing behind now, or in a calendar `span` of a `zone`."""

    amount: int
    window_s: int = 0
    span: Literal["day", "month"] | None = None
    zone: str = "UTC"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each scope is granted; `by_network` false turns off networks and fingerprints."""

    by_network: bool = True
    destination: tuple[Limit, ...] = (Limit(10, 3600), Limit(30, 86_400))
    network: tuple[Limit, ...] = (Limit(120, 3600),)
    fingerprint: tuple[Limit, ...] = (Limit(30, 3600),)
    app: tuple[Limit, ...] = ()
    account: tuple[Limit, ...] = ()
    prefix: tuple[Limit, ...] = ()
    country: tuple[Limit, ...] = ()
    everything: tuple[Limit, ...] = ()


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`hard_stop` keeps a destination with 100 failures in a row refused until it is unlocked, or
    these are forgotten."""

    hard_stop: bool = False


class Webhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`timeout_s` is how long a receiver may take; `allow_private` lets notices go to addresses of
    our own network, and over http."""

    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 15.0
    allow_private: bool = False


class Huawei(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Huawei Cloud dialect. `destination` is what each address is granted, for each partner;
    `ak_lock` says whom wrong signatures lock out: the network they came from, or all ("vendor")."""

    language: Literal["zh-cn", "en-us"] = "zh-cn"
    destination: tuple[Limit, ...] = (Limit(15, 3600), Limit(60, 86_400))
    ak_lock: Literal["network", "vendor"] = "network"
    customers_per_phone: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class Aliyun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Alibaba Cloud dialect. `site` says whose phones are texted: all but China's, or China's
    alone. `account` is what the sends of a calling account, or for a member account, are granted;
    `rate` what each access key may call, nothing being no bound."""

    site: Literal["intl", "china"] = "intl"
    account: tuple[Limit, ...] = (Limit(100, span="day", zone="Asia/Shanghai"),)
    destination: tuple[Limit, ...] = ()
    rate: tuple[Limit, ...] = ()
    members: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class Confidential(dict[str, Any]):
    """Settings that may hold passwords: prints its names, never its values."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: ***" for name in self) + "}"

    __str__ = __repr__


class Ciam(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The CIAM dialect. `destination` is what each address is granted; `origins` are the web pages
    of other hosts that may call, "*" being any; `issuer` is what its id_tokens say made them."""

    language: Literal["zh", "en"] = "zh"
    destination: tuple[Limit, ...] = (Limit(5, 3600), Limit(10, 86_400))
    origins: tuple[str, ...] = ()
    issuer: str = "watchword"


class Captcha(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`kinds` are on offer. A client network is shown so many (`network`) and may answer so many
    wrongly (`wrong`). `aj` serves AJ-Captcha's own front ends."""

    kinds: Annotated[
        tuple[Literal["jigsaw", "altcha", "turnstile"], ...], msgspec.Meta(min_length=1)
    ] = ("jigsaw", "altcha")
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 120
    pass_ttl_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 180
    network: tuple[Limit, ...] = (Limit(120, 60),)
    wrong: tuple[Limit, ...] = (Limit(30, 600),)
    usual_work: tuple[Limit, ...] = (Limit(20, 600),)
    aj: bool = True
    jigsaw: Confidential = Confidential()
    altcha: Confidential = Confidential()
    turnstile: Confidential = Confidential()
    """Settings of each kind; its module says what it needs."""


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The folder of own texts, which are laid over those that come with watchword."""

    folder: str = "templates"


class Tracing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where traces are collected, by OTLP over HTTP; "" is nowhere."""

    endpoint: str = ""


class Channels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which provider carries a channel; "" is the virtual one while no other provider is set."""

    sms: str = ""
    email: str = ""


class Lane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel's lane may do: hand-overs `at_once` in each process that delivers, 0 being as
    many as the provider makes; `rate` is how many all of them begin, nothing being no bound."""

    at_once: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    rate: tuple[Limit, ...] = ()


class Lanes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lane of each channel."""

    sms: Lane = Lane()
    email: Lane = Lane()


class Address(str):
    """Where a store is. It may hold a password, so a server's prints as hosts and database."""

    __slots__ = ()

    def __new__(cls, text: str) -> Address:
        return super().__new__(cls, str.__str__(text))

    @property
    def whole(self) -> str:
        """All of it. Showing it is deliberate."""
        return str.__str__(self)

    @property
    def is_embedded(self) -> bool:
        return self.startswith("sqlite:")

    def __str__(self) -> str:
        if self.is_embedded:
            return self.whole
        server = _SERVER.fullmatch(self)
        return f"postgresql://{_hosts(server)}/{_database(server)}" if server else "***"

    def __repr__(self) -> str:
        return repr(str(self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`data` is the folder that all state lives in; relative paths are inside it."""

    data: str = "./watchword-data"
    store: str = Address("sqlite:///watchword.db")
    sandbox: bool = False
    trusted_proxies: tuple[str, ...] = ()
    log: Literal["json", "text"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    server: Server = Server()
    postgresql: Postgresql = Postgresql()
    keys: Keys = Keys()
    journal: Journal = Journal()
    policy: Policy = Policy()
    limits: Limits = Limits()
    budget: Budget = Budget()
    huawei: Huawei = Huawei()
    aliyun: Aliyun = Aliyun()
    ciam: Ciam = Ciam()
    captcha: Captcha = Captcha()
    texts: Texts = Texts()
    webhooks: Webhooks = Webhooks()
    tracing: Tracing = Tracing()
    channels: Channels = Channels()
    lanes: Lanes = Lanes()
    providers: Mapping[str, Confidential] = {}
    """Settings of each provider by its name; the provider's module says what it needs. Values
    from the environment are texts, so it reads numbers and truths out of texts too."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "store", Address(self.store))

    @property
    def address(self) -> Address:
        """`store`, as it may be printed."""
        return Address(self.store)

    @property
    def folder(self) -> Path:
        return Path(self.data)

    @property
    def keyring_path(self) -> Path:
        return self.folder / self.keys.path

    @property
    def texts_folder(self) -> Path:
        return self.folder / self.texts.folder

    @property
    def store_path(self) -> Path:
        """The file of an embedded store."""
        return self.folder / unquote(urlsplit(self.address.whole).path[1:])


def load(
    data: str | None, config_file: str | None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings. `data` wins over the environment, and that over the file.

    Raises ConfigInvalid with every mistake.
    """
    reading = _Reading()
    overlay = reading.overlay(environ)
    folder = data or overlay.get("data")
    file = Path(config_file) if config_file else Path(folder or Settings().data) / FILE
    written = reading.file(file, must_exist=config_file is not None)
    if config_file is None:
        reading.refuse_a_folder_that_names_another(written, folder or Settings().data)
    given = _merged(written, overlay) | ({"data": folder} if folder else {})
    settings: Settings = reading.struct(Settings, given, "")
    reading.agree(settings)
    if reading.mistakes:
        raise ConfigInvalid(reading.mistakes)
    return settings


def section(path: str, given: Mapping[str, Any], kind: type[T]) -> T:
    """What a provider or a captcha is given, as its module says. Raises ConfigInvalid with every
    mistake. Texts from the environment are read as what they are to be."""
    reading = _Reading()
    texts = {n: FromEnvironment(v) if isinstance(v, str) else v for n, v in given.items()}
    reading.required(kind, texts, f"{path}.")
    if reading.mistakes:
        raise ConfigInvalid(reading.mistakes)
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:  # what no single type can say
        raise ConfigInvalid([f"{path}: {_in_words(kind, str(error))}."]) from None


def parse_limit(text: str) -> Limit:
    """Read "10/1h" or "5000/day Asia/Shanghai". Raises ValueError that says what is wrong."""
    if trailing := _TRAILING.fullmatch(text.strip()):
        return _trailing(int(trailing[1]), int(trailing[2]) * _SECONDS[trailing[3]])
    if calendar := _CALENDAR.fullmatch(text.strip()):
        return _calendar(int(calendar[1]), "day" if calendar[2] == "day" else "month", calendar[3])
    raise ValueError('write "10/1h" (s, m, h, d) or "5000/day Asia/Shanghai" (day, month)')


def provider_names() -> list[str]:
    """A provider's name is that of its module."""
    modules = (path.stem for path in _PROVIDERS.glob("*.py"))
    return sorted(name for name in modules if not name.startswith("_"))


def _trailing(amount: int, window_s: int) -> Limit:
    if not 1 <= amount <= _LARGEST_TRAILING:
        raise ValueError("a trailing limit is 1 to 10000; for more, count per day or month")
    if not 1 <= window_s <= _LONGEST_TRAILING_S:
        raise ValueError("a trailing window is 1 second to 366 days")
    return Limit(amount, window_s)


def _calendar(amount: int, span: Literal["day", "month"], zone: str) -> Limit:
    if amount < 1:
        raise ValueError("a limit is at least 1")
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"no time zone is called {zone}") from None
    return Limit(amount, span=span, zone=zone)


def _has_opentelemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


class _Reading:
    """One reading of the settings, and the mistakes found on the way."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._variables: dict[str, str] = {}

    def mistake(self, path: str, what: str) -> None:
        if variable := self._variables.get(path):
            end = "." if what.endswith(".") else ""
            what = f"{what.removesuffix('.')} (from {variable}){end}"
        self.mistakes.append(f"{path}: {what}")

    def file(self, path: Path, *, must_exist: bool) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            if must_exist:
                self.mistake(str(path), "there is no such file.")
        except OSError as error:
            self.mistake(str(path), f"cannot be read ({error.strerror}).")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            # A decoder's message quotes the line's position, never its text: no password leaks.
            self.mistake(str(path), f"this is not TOML: {error}.")
        return {}

    def overlay(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """What the environment says, shaped like the file."""
        found: dict[str, Any] = {}
        for name in sorted(environ):
            keys = name.removeprefix(PREFIX).lower().split("__")
            if not name.startswith(PREFIX) or not self._is_meant_for_us(name, keys, environ[name]):
                continue
            place = found
            for key in keys[:-1]:
                place = place.setdefault(key, {})
                if not isinstance(place, dict):
                    break
            if isinstance(place, dict):
                place[keys[-1]] = FromEnvironment(environ[name])
                self._variables[".".join(keys)] = name
        return found

    def _is_meant_for_us(self, name: str, keys: list[str], value: str) -> bool:
        fields = msgspec.structs.fields(Settings)
        plain = {field.name for field in fields if not _is_struct(field.type)}
        if len(keys) > 1 or keys[0] in plain:
            return True
        for section in fields:
            head, _, setting = keys[0].partition(f"{section.name}_")
            is_ours = not head and _is_struct(section.type) and _ADDRESS not in value
            if is_ours and setting in section.type.__struct_fields__:
                right = f"{PREFIX}{section.name}__{setting}".upper()
                self.mistake(name, f"unknown; did you mean {right}?")
                return False
        near = difflib.get_close_matches(keys[0], plain, 1, 0.75)
        if near and keys[0].upper() not in _NOT_SETTINGS:
            self.mistake(name, f"unknown; did you mean {PREFIX}{near[0].upper()}?")
        return False

    def refuse_a_folder_that_names_another(self, written: Mapping[str, Any], folder: str) -> None:
        named = written.get("data")
        if isinstance(named, str) and Path(named).resolve() != Path(folder).resolve():
            self.mistake("data", "a data folder's own file cannot name another; pass --data.")

    def struct(self, kind: type[Any], given: Mapping[str, Any], path: str) -> Any:
        """Read what can be read; what cannot keeps its default, and is noted."""
        types = get_type_hints(kind, include_extras=True)
        for name in sorted(given.keys() - types.keys()):
            self.unknown(f"{path}{name}", name, types)
        read = {
            name: self.value(types[name], given[name], f"{path}{name}")
            for name in types
            if name in given
        }
        return kind(**{name: value for name, value in read.items() if value is not None})

    def required(self, kind: type[Any], given: Mapping[str, Any], path: str) -> None:
        """Note what is wrong with these settings, and what is missing of them."""
        types = get_type_hints(kind, include_extras=True)
        for name in sorted(given.keys() - types.keys()):
            self.unknown(f"{path}{name}", name, types)
        for field in msgspec.structs.fields(kind):
            if field.name in given:
                self.value(types[field.name], given[field.name], f"{path}{field.name}")
            elif field.required:
                self.mistake(f"{path}{field.name}", "is missing.")

    def value(self, kind: Any, given: Any, path: str) -> Any:
        """A value of this type, or None when there is a mistake in it."""
        if path == "providers":
            return self.providers(given)
        if _is_struct(kind):
            return self.section(kind, given, path)
        if kind is Confidential:
            return self.confidential(given, path)
        if kind == tuple[Limit, ...]:
            return self.limits(given, path)
        return self.plain(kind, given, path)

    def section(self, kind: type[Any], given: Any, path: str) -> Any:
        if isinstance(given, dict):
            return self.struct(kind, given, f"{path}.")
        self.mistake(path, f"is a section; write [{path}] above its settings.")
        return None

    def confidential(self, given: Any, path: str) -> Confidential | None:
        if isinstance(given, dict):
            return Confidential(_texts(given))
        self.mistake(path, f"is a section; write [{path}] above its settings.")
        return None

    def plain(self, kind: Any, given: Any, path: str) -> Any:
        written = isinstance(given, FromEnvironment)
        try:
            value = given.as_list() if written and _is_list(kind) else _text(given)
            return msgspec.convert(value, kind, strict=not written)
        except msgspec.ValidationError as error:
            # No value is quoted: it may be a secret put in the wrong place.
            self.mistake(path, f"{_in_words(kind, str(error))}.")
            return None

    def limits(self, given: Any, path: str) -> tuple[Limit, ...] | None:
        texts = self.plain(tuple[str, ...], given, path)
        return None if texts is None else tuple(self._limits(texts, path))

    def _limits(self, texts: Iterable[str], path: str) -> Iterator[Limit]:
        for text in texts:
            try:
                yield parse_limit(text)
            except ValueError as error:
                self.mistake(path, f'"{text}" is no limit: {error}.')

    def providers(self, given: Any) -> dict[str, Confidential] | None:
        known = provider_names()
        if not isinstance(given, dict):
            self.mistake("providers", "is a section; write [providers.NAME] for each.")
            return None
        for name in given:
            if name not in known:
                self.unknown(f"providers.{name}", name, known)
            elif not isinstance(given[name], dict):
                self.mistake(f"providers.{name}", f"is a section; write [providers.{name}].")
        return {
            name: Confidential(_texts(section))
            for name, section in given.items()
            if name in known and isinstance(section, dict)
        }

    def unknown(self, path: str, name: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(name, list(known), 1)
        right = f"{path.removesuffix(name)}{near[0]}" if near else ""
        if path in self._variables:
            right = f"{PREFIX}{right.replace('.', '__').upper()}"
        hint = f"; did you mean {right}?" if near else "."
        self.mistake(path, f"unknown{hint}")

    def agree(self, settings: Settings) -> None:
        """What no single type can say."""
        self._store(settings.address)
        for proxy in settings.trusted_proxies:
            self._network(proxy)
        for origin in settings.ciam.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                self.mistake(
                    "ciam.origins", f'"{origin}" is none: write https://host[:port], or *.'
                )
        for language in settings.policy.languages:
            if not _LANGUAGE.fullmatch(language):
                right = language.strip().lower().replace("_", "-")
                hint = f"write {right}" if _LANGUAGE.fullmatch(right) else "write it as in en-us"
                self.mistake("policy.languages", f'"{language}" is no language: {hint}.')
        if settings.tracing.endpoint:
            self._collector(settings.tracing.endpoint)
        for channel, provider in msgspec.structs.asdict(settings.channels).items():
            if provider and provider not in provider_names():
                self._no_provider(f"channels.{channel}", provider)

    def _no_provider(self, path: str, name: str) -> None:
        near = difflib.get_close_matches(name, provider_names(), 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        self.mistake(path, f"there is no provider '{name}'{hint}")

    def _collector(self, endpoint: str) -> None:
        if not _COLLECTOR.fullmatch(endpoint):
            self.mistake("tracing.endpoint", "write http://host:port or https://host:port.")
        elif not _has_opentelemetry():
            self.mistake(
                "tracing.endpoint",
                "traces need OpenTelemetry: install requirements-opentelemetry.txt, or the extra "
                "watchword[opentelemetry].",
            )

    def _network(self, proxy: str) -> None:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            self.mistake("trusted_proxies", f'"{proxy}" is neither an address nor a network.')

    def _store(self, store: Address) -> None:
        """No mistake quotes the address: where it is mistyped, any part may be the password."""
        scheme, _, rest = store.partition(":")
        if scheme in {"postgresql", "postgres"}:
            if wrong := next(_wrong_with_a_server(store), ""):
                self.mistake("store", f"{wrong}.")
        elif scheme in {"valkey", "redis"}:
            self.mistake(
                "store", f"{scheme} is not in this version; use sqlite:// or postgresql://."
            )
        elif scheme != "sqlite" or not rest.startswith("///") or not rest[3:].strip("/"):
            self.mistake(
                "store",
                "write sqlite:///name.db (inside the data folder), sqlite:////path/to/name.db or "
                "postgresql://user@host:port/database.",
            )


class FromEnvironment(str):
    """A text from the environment: numbers and truths are read out of it, a list is JSON or has
    commas."""

    __slots__ = ()

    def as_list(self) -> Any:
        if self.lstrip().startswith("["):
            try:
                return msgspec.json.decode(self.encode())
            except msgspec.DecodeError:
                return str(self)
        return [part.strip() for part in self.split(",") if part.strip()]


def _wrong_with_a_server(address: Address) -> Iterator[str]:
    server = _SERVER.fullmatch(address)
    if server is None or not _PLAIN.fullmatch(address):
        yield f"{_WRITE_A_SERVER}, and within these %40 for @, %2F for /, and so on"
        return
    if not all(map(_HOST.fullmatch, server["hosts"].split(","))):
        yield f"a host is host or host:port, several have commas between; {_WRITE_A_SERVER}"
    elif any(int(port) > _LARGEST_PORT for port in re.findall(r":(\d+)(?:,|$)", server["hosts"])):
        yield f"a port is at most {_LARGEST_PORT}"
    options = _options(server)
    if any(not name or not value for name, value in options.items()):
        yield "what follows the ? is name=value, with & between"
    if not _database(server):
        yield f"it names no database; {_WRITE_A_SERVER}"
    for name, known in _OPTIONS.items():
        if name in options and options[name] not in known:
            yield f"{name} is one of {', '.join(known)}"


def _hosts(server: re.Match[str]) -> str:
    return server["hosts"] or _options(server).get("host", "")


def _database(server: re.Match[str]) -> str:
    options = _options(server)
    return server["database"] or options.get("dbname") or options.get("database") or ""


def _options(server: re.Match[str]) -> dict[str, str]:
    return dict(parse_qsl(server["options"] or "", keep_blank_values=True))


def _texts(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) for name, value in section.items()}


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return _texts(value)
    return str(value) if isinstance(value, FromEnvironment) else value


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: _merged(under[name], over[name])
        for name in under.keys() & over.keys()
        if isinstance(under[name], dict) and isinstance(over[name], dict)
    }
    return {**under, **over, **both}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_list(kind: Any) -> bool:
    return "tuple[" in str(kind)


def _in_words(kind: Any, complaint: str) -> str:
    """msgspec's complaint as a person would put it."""
    choices = ", ".join(_choices(kind))
    if choices and "length" in complaint:
        return f"names at least one of {choices}"
    if choices:
        return f"is a list, each one of {choices}" if _is_list(kind) else f"is one of {choices}"
    said = _QUOTED.sub(lambda name: _KINDS.get(name[1], name[1]), complaint.split(" - at ")[0])
    for sign, words in _SIGNS.items():
        said = said.replace(sign, words)
    return said[:1].lower() + said[1:].removesuffix(".")


def _choices(kind: Any) -> tuple[str, ...]:
    """What a setting is one of; nothing where it may be many things."""
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    inner = get_args(kind)[:1] if get_origin(kind) in (Annotated, tuple) else ()
    return _choices(inner[0]) if inner else ()
