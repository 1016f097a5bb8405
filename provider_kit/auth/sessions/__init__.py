"""Tokens for the user's own sessions of requests and aiohttp. They are sent only to the named hosts."""
