"""A pytest plugin for runs that must leave nothing out: a skipped test fails the run.

Load it with `PYTEST_PLUGINS=tests._no_skips`, as `.ci/run` does.
"""

from typing import Any

import pytest


def skipped(config: pytest.Config) -> list[Any]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("skipped", []) if reporter else []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if count := len(skipped(config)):
        terminalreporter.write_line(f"Nothing may be skipped here, and this was: {count}.")
