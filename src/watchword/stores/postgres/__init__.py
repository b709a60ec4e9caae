"""The store of a fleet: every promise on one PostgreSQL database, one round trip an act."""

from watchword.stores.postgres._backup import back_up, restoring
from watchword.stores.postgres._connections import Terms
from watchword.stores.postgres._migrating import exists, migrate
from watchword.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore", "Terms", "back_up", "exists", "migrate", "restoring"]
