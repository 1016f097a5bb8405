"""How bytes are framed: HTTP messages, event streams, lines, headers; and secrets out of texts.

Nothing here opens a socket, reads a clock or knows a provider.
"""
