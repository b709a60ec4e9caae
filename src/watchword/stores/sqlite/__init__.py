"""The embedded store: every promise on one SQLite file."""

from watchword.stores.sqlite.store import SqliteStore, migrate

__all__ = ["SqliteStore", "migrate"]
