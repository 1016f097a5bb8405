"""Bodies of forms with files. Source: RFC 7578."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from provider_kit.errors import InvalidRequestError

__all__ = ["multipart_body"]


def multipart_body(fields: Mapping[str, str], filename: str, media_type: str, data: bytes) -> tuple[bytes, str]:
    """A form with text fields and one file, named ``file``; and its content type.

    Raises:
        InvalidRequestError: A field is no text of one line.
    """
    for name, value in (*fields.items(), ("media_type", media_type)):
        if not isinstance(value, str) or re.search(r"[\x00-\x1f\x7f]", value):
            raise InvalidRequestError(
                f"{name}= of a file must be a text of one line, not {value!r:.100}.",
                hint="media_type='application/pdf'.",
            )
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        pieces.append(head.encode())
    # As browsers do: quotes and line breaks would end the name.
    safe = re.sub(r'["\r\n]', lambda found: f"%{ord(found[0]):02X}", filename)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    )
    pieces += [head.encode("utf-8", "replace"), data, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"
