"""All that one run found out."""

from __future__ import annotations

import msgspec

from bench.captcha import Captchas
from bench.delivering import Handed, Undisturbed
from bench.enduring import Endured
from bench.fleet import Fleet
from bench.floored import Floored
from bench.hints import Hinted
from bench.measure import Figure
from bench.sampling import Place
from bench.scenarios import Crowded, Dialects, Million, Sweeping


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    processor: str
    cores: int
    memory_gib: float
    kernel: str
    file_system: str
    python: str
    sqlite: str


class Results(msgspec.Struct, kw_only=True):
    """What was not asked for is None or empty. `commit_ms` is one bare commit on the same disk."""

    machine: Machine
    command: str
    commit_ms: float | None = None
    speed: list[Figure] = []
    floored: list[Floored] = []
    dialects: list[Dialects] = []
    captchas: Captchas | None = None
    hints: list[Hinted] = []
    million: Million | None = None
    sweep: Sweeping | None = None
    processes: list[Crowded] = []
    handed: list[Handed] = []
    fairness: list[Undisturbed] = []
    hour: Endured | None = None
    fleet: Fleet | None = None
    profiles: dict[str, list[Place]] = {}
