"""How bytes are framed: HTTP messages, event streams, lines, headers. Nothing here opens a socket."""
