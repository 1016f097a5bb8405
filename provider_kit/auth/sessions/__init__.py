"""Tokens for sessions of requests and aiohttp that are not this library's own. They never leave for another host."""
