"""Who may import whom. Arrows point inwards: surface, directory, service, domain.

The table below is the map in ARCHITECTURE.md. Every import counts: relative ones, those inside a
function, and those under TYPE_CHECKING.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "watchword"

ASK_A_PORT = "say what you need as a Protocol in ports.py, and let bootstrap/ hand it in"
KEEP_IT_PURE = "take the value as an argument, and let whoever calls you fetch it"
LEAVE_IT_TO_THE_SERVICE = "call a use case in service/ or a question in directory/"
SHARE_IT = "what two dialects share is a module directly under surfaces/"
NOTHING_OF_OURS = "it stands alone: copy the little it needs, or speak to us over HTTP"


@dataclass(frozen=True)
class Row:
    """What a place may import besides itself, and what to do when that is not enough."""

    may: tuple[str, ...]
    instead: str


CORE = ("errors", "domain", "ports")
SURFACE = Row((*CORE, "service", "directory", "log", "surfaces"), LEAVE_IT_TO_THE_SERVICE)

# A star stands for every folder or module of that name's place; the first row that fits counts.
TABLE: dict[str, Row] = {
    "watchword": Row((), "whoever imports watchword should pay for nothing else"),
    "__main__": Row(("cli",), "start from a command in cli/"),
    "errors": Row((), KEEP_IT_PURE),
    "log": Row((), NOTHING_OF_OURS),
    "config": Row(("errors",), "settings are plain values; bootstrap/ makes things of them"),
    "domain": Row(("errors",), KEEP_IT_PURE),
    "ports": Row(("domain", "errors"), "a port speaks the words of domain/"),
    "keyring": Row(CORE, ASK_A_PORT),
    "service": Row(CORE, ASK_A_PORT),
    "directory": Row((*CORE, "service"), ASK_A_PORT),
    "stores": Row((*CORE, "stores/_*"), ASK_A_PORT),
    "stores/*": Row((*CORE, "stores/_*"), "a store knows no other store; " + ASK_A_PORT),
    "channels": Row((*CORE, "channels/_*"), ASK_A_PORT),
    "channels/*": Row((*CORE, "channels/_*", "providers/_http"), ASK_A_PORT),
    "providers": Row((*CORE, "providers/_*"), ASK_A_PORT),
    "providers/*": Row((*CORE, "providers/_*"), "what carriers share is in providers/_http.py"),
    "captchas": Row((*CORE, "captchas/_*"), ASK_A_PORT),
    "captchas/*": Row((*CORE, "captchas/_*", "providers/_http"), ASK_A_PORT),
    "webhooks": Row((*CORE, "providers/_http"), ASK_A_PORT),
    "surfaces": SURFACE,
    "surfaces/*": Row(SURFACE.may, f"{SHARE_IT}; for the rest, {LEAVE_IT_TO_THE_SERVICE}"),
    "console": SURFACE,
    "bootstrap": Row(
        (
            *CORE,
            *("config", "log", "keyring", "service", "directory"),
            *("stores*", "channels*", "providers*", "captchas*", "webhooks"),
        ),
        "bootstrap/ makes the service; putting it on a wire is for web.py and cli/",
    ),
    "web": Row(
        ("surfaces*", "console", "bootstrap", "errors", "config", "log", "domain"),
        "web.py only puts surfaces on one application; " + LEAVE_IT_TO_THE_SERVICE,
    ),
    "client": Row((), NOTHING_OF_OURS),
    "cli": Row(
        (
            *("bootstrap", "web", "client", "config"),
            *("errors", "log", "domain", "directory", "service"),
        ),
        "let bootstrap/ make it, and work with what it returns",
    ),
}

PURE_LIBRARIES = {
    "cryptography",
    "email_validator",
    "idna",
    "jinja2",
    "msgspec",
    "phonenumbers",
    "tzdata",
}
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers"}
# Of these, each folder or module is a place of its own.
DIVIDED = {"stores", "channels", "providers", "captchas"}


@dataclass(frozen=True)
class Import:
    """One import of `module`, at `line` of the file `path` (relative to the package)."""

    path: str
    line: int
    module: str


class House:
    """The package as its sources tell it: path below src/watchword -> text."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources
        self.modules = {module_of(path) for path in sources}
        self.folders = {str(PurePosixPath(path).parent) for path in sources}

    def place(self, module: str) -> str:
        """The row that a module belongs to; a dialect is one place, whatever is in its folder."""
        _, *parts = module.split(".")
        if not parts:
            return "watchword"
        nearest = "/".join(parts[:2])
        is_divided = parts[0] in DIVIDED or (parts[0] == "surfaces" and nearest in self.folders)
        return nearest if is_divided and len(parts) > 1 else parts[0]

    def imports(self) -> Iterator[Import]:
        for path, text in self.sources.items():
            for node in ast.walk(ast.parse(text, filename=path)):
                if isinstance(node, ast.Import):
                    yield from (Import(path, node.lineno, alias.name) for alias in node.names)
                if isinstance(node, ast.ImportFrom):
                    base = absolute(node, path)
                    for alias in node.names:
                        yield Import(path, node.lineno, self.module(base, alias.name))

    def module(self, base: str, name: str) -> str:
        """What `from base import name` reaches: a module of that name, else base itself."""
        inner = f"{base}.{name}"
        return inner if inner in self.modules or (base == "watchword" and name in TABLE) else base

    def complaints(self) -> Iterator[str]:
        for found in self.imports():
            here, there = self.place(module_of(found.path)), self.place(found.module)
            row = row_of(here)
            if row is None:
                yield (
                    f"{found.path} is in a place that the map does not know. Please give {here} a "
                    "row in tests/test_architecture.py and a line in ARCHITECTURE.md."
                )
            elif is_ours(found.module) and not may_import(here, there, row):
                yield (
                    f"{found.path}:{found.line} imports {found.module}, and {here} may know "
                    f"{', '.join(row.may) or 'nothing of ours'} only. Instead, {row.instead}."
                )


def module_of(path: str) -> str:
    parts = PurePosixPath("watchword", path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute(node: ast.ImportFrom, path: str) -> str:
    """The module that a from-import starts at, with its leading dots resolved."""
    if not node.level:
        return node.module or ""
    folder = PurePosixPath("watchword", path).parts[: -node.level]
    return ".".join((*folder, *([node.module] if node.module else [])))


def is_ours(module: str) -> bool:
    return module.split(".")[0] == "watchword"


def row_of(place: str) -> Row | None:
    return next((row for name, row in TABLE.items() if fnmatchcase(place, name)), None)


def may_import(here: str, there: str, row: Row) -> bool:
    return there in (here, "watchword") or any(fnmatchcase(there, name) for name in row.may)


def our_house() -> House:
    return House(
        {
            str(path.relative_to(SOURCE).as_posix()): path.read_text(encoding="utf-8")
            for path in sorted(SOURCE.rglob("*.py"))
        }
    )


def foreign_to_the_domain(house: House) -> list[str]:
    allowed = PURE_LIBRARIES | {"watchword"} | sys.stdlib_module_names
    return [
        f"{found.path}:{found.line} imports {found.module}; the domain makes do with "
        f"{', '.join(sorted(PURE_LIBRARIES))}. Instead, {KEEP_IT_PURE}."
        for found in house.imports()
        if found.path.startswith("domain/") and found.module.split(".")[0] not in allowed
    ]


def empty_names(paths: Iterator[str]) -> list[str]:
    return [
        f"{path}: please name it after its subject, not after {' and '.join(sorted(empty))}."
        for path in paths
        if (empty := EMPTY_NAMES & {word for part in path.split("/") for word in words(part)})
    ]


def words(part: str) -> list[str]:
    return part.removesuffix(".py").lower().split("_")


def test_imports_point_inwards():
    """Neighbours never meet, and nothing inside knows what is around it."""
    complaints = list(dict.fromkeys(our_house().complaints()))
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_domain_stays_pure():
    """The rules of a code need no framework, no disk and no wire."""
    complaints = foreign_to_the_domain(our_house())
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_module_is_named_after_its_subject():
    """Whoever lists the folders can guess what we do."""
    complaints = empty_names(iter(our_house().sources))
    assert not complaints, "\n" + "\n".join(complaints)


NEIGHBOURS = {
    "surfaces/__init__.py": "",
    "surfaces/problems.py": "",
    "surfaces/aliyun/__init__.py": "",
    "surfaces/aliyun/wire.py": "",
    "surfaces/native/__init__.py": "",
    "providers/_http.py": "",
    "stores/sqlite/store.py": "",
}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("errors.py", "from watchword import domain"),
        ("domain/code.py", "from watchword.ports import Clock"),
        ("domain/code.py", "from ..service.issue import issue"),
        ("domain/__init__.py", "from ..ports import Clock"),
        ("ports.py", "from .service import issue"),
        ("service/issue.py", "def issue():\n    import watchword.stores.sqlite.store"),
        (
            "service/issue.py",
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from watchword.directory.apps import Apps",
        ),
        ("directory/apps.py", "from watchword.surfaces.problems import problem"),
        ("stores/postgres/store.py", "from watchword.stores.sqlite import store"),
        ("stores/postgres/store.py", "from ..sqlite.store import Store"),
        ("providers/acme.py", "from watchword.stores.sqlite.store import Store"),
        ("providers/acme.py", "from . import other"),
        ("surfaces/native/routes.py", "from ..aliyun import wire"),
        ("surfaces/native/routes.py", "from watchword.surfaces import aliyun"),
        ("surfaces/native/routes.py", "import watchword.stores.sqlite.store as store"),
        ("surfaces/problems.py", "from .native import routes"),
        ("console/pages.py", "from watchword.surfaces.native import wire"),
        ("bootstrap.py", "from watchword import web"),
        ("bootstrap.py", "from watchword.surfaces.native import routes"),
        ("client/calls.py", "from watchword.errors import WatchwordError"),
        ("cli/serve.py", "from watchword.stores.sqlite.store import Store"),
        ("config.py", "from watchword.domain.policy import Policy"),
        ("log.py", "from watchword.errors import WatchwordError"),
        ("somewhere/new.py", "import json"),
    ],
)
def test_a_wrong_import_is_found(path, text):
    """The check itself can be trusted: each of these it must refuse."""
    house = House({**NEIGHBOURS, "providers/other.py": "", path: text})
    assert len(list(house.complaints())) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("__main__.py", "from watchword.cli import main"),
        ("domain/code.py", "from watchword.domain.challenge import Challenge\nimport hmac"),
        ("service/check.py", "from . import issue\nfrom ..ports import ChallengeStore"),
        ("stores/sqlite/rows.py", "from .store import Store\nfrom watchword.errors import X"),
        ("providers/acme.py", "from watchword.providers._http import post\nimport httpx2"),
        ("captchas/acme.py", "from watchword.providers import _http"),
        ("surfaces/native/routes.py", "from ..problems import problem\nfrom . import wire"),
        ("surfaces/native/routes.py", "from watchword import __version__, errors, log"),
        ("surfaces/problems.py", "from watchword.errors import WatchwordError"),
        ("bootstrap.py", "from watchword.stores.sqlite import store\nfrom .stores import sqlite"),
        ("web.py", "from watchword.surfaces import native, problems"),
        ("cli/serve.py", "from watchword import bootstrap, web\nfrom . import demo"),
    ],
)
def test_a_right_import_is_welcome(path, text):
    """Nor does it stand in the way of what the map allows."""
    house = House({**NEIGHBOURS, "cli/__init__.py": "", "cli/demo.py": "", path: text})
    assert list(house.complaints()) == []


def test_a_refusal_says_where_and_what_to_do_instead():
    """Whoever meets it first learns the way from the message alone."""
    house = House({**NEIGHBOURS, "domain/code.py": "\nfrom watchword.ports import Clock"})
    assert list(house.complaints()) == [
        "domain/code.py:2 imports watchword.ports, and domain may know errors only. "
        "Instead, take the value as an argument, and let whoever calls you fetch it."
    ]


def test_a_foreign_library_in_the_domain_is_found():
    house = House({"domain/code.py": "import msgspec, hmac\nfrom sqlalchemy.orm import Session"})
    (complaint,) = foreign_to_the_domain(house)
    assert complaint.startswith("domain/code.py:2 imports sqlalchemy.orm")


def test_an_empty_name_is_found():
    complaints = empty_names(iter(["service/issue.py", "service/code_utils.py", "helpers/a.py"]))
    assert [complaint.split(":")[0] for complaint in complaints] == [
        "service/code_utils.py",
        "helpers/a.py",
    ]
