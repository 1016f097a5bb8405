"""Monitoring of credentials: metrics, and alerts when one is about to expire or keeps failing."""
