"""The page a browser shows after a login, and the check which requests are callbacks. Nothing is sent here."""

from __future__ import annotations

import secrets
from html import escape

__all__ = ["callback_target", "response", "result_page"]

_LONGEST_HEAD = 16_384
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<style nonce="{nonce}">
body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: #f4f5f7; color: #1d2430 }}
main {{ background: #fff; border-radius: 12px; border-top: 6px solid {color}; box-shadow: 0 2px 16px #0002;
  padding: 1.5rem 2.5rem 2rem; max-width: 34rem; margin: 1rem }}
h1 {{ font-size: 1.5rem; margin: .4rem 0 }} p {{ margin: .4rem 0 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14171c; color: #e6e9ee }} main {{ background: #1f242c }} }}
</style></head>
<body><main><h1>{title}</h1><p>{text}</p><p>{further}</p></main>
<script nonce="{nonce}">history.replaceState(null, "", location.pathname)</script>
</body></html>
"""


def result_page(ok: bool, provider: str, text: str = "", hint: str = "") -> tuple[str, str]:
    """The page after a login, and the nonce of its style and script. It shows no secret and loads nothing.

    Args:
        ok: Whether the login succeeded.
        provider: Name of the provider.
        text: What went wrong.
        hint: The remedy.
    """
    nonce = secrets.token_urlsafe(16)
    title = f"You are logged in to {provider}" if ok else f"The login to {provider} failed"
    further = "You can close this window and go back to your program." if ok else hint
    page = _PAGE.format(
        title=escape(title),
        text=escape(text if not ok else "The program has received its token."),
        further=escape(further),
        nonce=nonce,
        color="#1a7f4b" if ok else "#b3261e",
    )
    return page, nonce


def response(status: int, page: str, nonce: str = "") -> bytes:
    """A complete HTTP response that must not be cached, framed or sniffed."""
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 421: "Misdirected Request"}
    body = page.encode()
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; frame-ancestors 'none'"
    lines = [
        f"HTTP/1.1 {status} {reason.get(status, 'Error')}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        f"Content-Security-Policy: {policy}",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def callback_target(head: bytes, path: str, port: int) -> tuple[int, str] | None:
    """Classify a request: ``None`` while it is incomplete, else a status and the target.

    Args:
        head: The bytes received so far.
        path: Path of the callback.
        port: The port of the listener.

    Returns:
        200 and the target (path and query) for a callback; another status for anything else. A request for another host
        is not a callback: that name merely resolves to this machine.
    """
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return (400, "") if len(head) > _LONGEST_HEAD else None
    lines = head[:end].decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    if not version.startswith("HTTP/1") or not target.startswith("/"):
        return 400, ""
    if method != "GET":
        return 405, ""
    hosts = [value.strip() for name, _, value in (line.partition(":") for line in lines[1:]) if name.lower() == "host"]
    ours = {f"{name}{ending}" for name in _NAMES for ending in ([f":{port}", ""] if port == 80 else [f":{port}"])}
    if hosts and hosts[0].lower() not in ours:
        return 421, ""
    if target.partition("?")[0] != path:
        return 404, ""
    return 200, target
