"""The SDK: watchword's native dialect as Python, plain and asynchronous.

with Client("http://127.0.0.1:8080", api_key) as client:
    verification = client.send("+8613800138000", purpose="sign_in")
    approved = client.check(verification.id, typed).approved
"""

from watchword.client.answers import (
    Delivery,
    Received,
    Unreachable,
    Verification,
    WatchwordProblem,
)
from watchword.client.calls import Terms, Typed
from watchword.client.clients import AsyncClient, Client

__all__ = [
    "AsyncClient",
    "Client",
    "Delivery",
    "Received",
    "Terms",
    "Typed",
    "Unreachable",
    "Verification",
    "WatchwordProblem",
]
