"""For clients that encrypt nothing."""

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. Without it every client reads all authorities anew, which takes 0.05 s."""
