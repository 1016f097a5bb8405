"""Observability of calls: log lines, dumps of HTTP. A sink receives events and changes nothing."""
