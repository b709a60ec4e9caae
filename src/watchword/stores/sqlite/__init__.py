"""The embedded store: every promise on one SQLite file."""

from watchword.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
