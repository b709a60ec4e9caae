"""The embedded store: every promise on one SQLite file."""

from watchword.stores.sqlite._backup import back_up, restoring
from watchword.stores.sqlite.store import SqliteStore, migrate

__all__ = ["SqliteStore", "back_up", "migrate", "restoring"]
