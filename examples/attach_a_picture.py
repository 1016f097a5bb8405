"""A question about a picture.

Run it with ``python attach_a_picture.py [provider/model] [picture]``. Without arguments, the demo provider answers, and
the picture is a small red square.
"""

import struct
import sys
import zlib

from provider_kit import Client


def red_square(size: int = 32) -> bytes:
    """A PNG of one colour, made here so that the example needs no file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


target = sys.argv[1] if len(sys.argv) > 1 else "demo"
picture = sys.argv[2] if len(sys.argv) > 2 else red_square()
answer = Client(target).chat("Which colour has this picture?", files=[picture])
print(answer.text)
