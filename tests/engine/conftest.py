"""Scripted clients for the tests of the engine."""

import pytest

from provider_kit import Client, ScriptedTransport

KEY = "test-key-0123456789"


class Late:
    """An entry of a script that takes its time."""

    def __init__(self, seconds, answer):
        self.seconds = seconds
        self.answer = answer


class SlowTransport(ScriptedTransport):
    """Its clock moves not only by waiting but also by answers that take their time."""

    def __init__(self, script, *, repeat=False):
        self.spent = 0.0
        super().__init__([self._timed(entry) for entry in script], repeat=repeat)

    def now(self):
        return super().now() + self.spent

    def _timed(self, entry):
        if not isinstance(entry, Late):
            return entry

        def answer(request):
            self.spent += entry.seconds
            return entry.answer

        return answer


@pytest.fixture
def late():
    """A function: an answer that takes so many seconds of the scripted clock."""
    return Late


@pytest.fixture
def scripted():
    """A function: a client over a script, and the transport that tells what was sent and waited."""

    def make(*script, target="openai/gpt-4o", repeat=False, **options):
        transport = SlowTransport(script, repeat=repeat)
        options.setdefault("api_key", KEY)
        return Client(target, transport=transport, **options), transport

    return make


class Answers:
    """Answers in the form of OpenAI's chat API."""

    @staticmethod
    def text(text="Hi", **entry):
        payload = {
            "id": "chatcmpl-1",
            "model": "gpt-4o-2026",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
        return {"json": payload, **entry}

    @staticmethod
    def error(status, code=None, message="it failed", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return {"status": status, "headers": names, "json": {"error": {"message": message, "code": code}}}

    @staticmethod
    def event(text="", finish=None, **fields):
        choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
        return Answers.data({"id": "chatcmpl-1", "choices": [choice], **fields})

    @staticmethod
    def data(payload):
        import json

        return f"data: {json.dumps(payload)}\n\n".encode()

    USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}\n\n'
    DONE = b"data: [DONE]\n\n"

    @classmethod
    def stream(cls, *texts, **entry):
        pieces = [*(cls.event(text) for text in texts), cls.event("", "stop"), cls.USAGE, cls.DONE]
        return {"stream": pieces, **entry}


@pytest.fixture
def answers():
    """Answers in the form of OpenAI's chat API."""
    return Answers
