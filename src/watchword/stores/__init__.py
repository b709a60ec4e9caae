"""Promises kept on a disk or a server."""
