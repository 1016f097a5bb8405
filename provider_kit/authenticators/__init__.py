"""Proving who we are, for people: API keys, tokens, OAuth logins, and several of them together."""
