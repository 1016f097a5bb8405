"""Whom to call: one small file or row for each provider, found by name through the registry."""
