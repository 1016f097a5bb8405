"""How bytes are framed: HTTP messages, event streams, lines, headers; and the redaction of secrets.

Nothing here opens a socket, reads a clock or knows a provider.
"""
