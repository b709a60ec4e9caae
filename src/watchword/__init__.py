"""watchword: a self-hosted verification-code service."""
