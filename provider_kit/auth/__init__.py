"""Proving who we are."""
