"""The statements of queries.sql, by name."""

from watchword.stores._statements import statements

SQL = statements(__package__)
