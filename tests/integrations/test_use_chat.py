"""The real ``useChat`` reads what is streamed: text, tool calls, decisions, errors, resets."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from provider_kit import StreamError
from provider_kit.integrations.ui_stream import ui_stream
from provider_kit.model.messages import ToolCall, ToolResult
from provider_kit.tools.run_events import RunReset, TextDelta, ThinkingDelta, ToolFinished

HERE = Path(__file__).parent / "use_chat"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None or not (HERE / "node_modules").is_dir(),
    reason="needs Node.js and: npm ci --prefix tests/integrations/use_chat",
)


def node(program, *arguments, stdin=b""):
    done = subprocess.run(
        [NODE, program, *arguments], cwd=HERE, input=stdin, capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def texts(message):
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "server", "path"),
    [("fastapi_chat", "uvicorn", "/api/chat"), ("django_chat", "gunicorn gthread", "/api/chat")],
)
@pytest.mark.parametrize("packages", [("@ai-sdk/react", "ai"), ("react6", "ai6")], ids=["7", "6"])
def test_use_chat(serve, upstream, module, server, path, packages):
    """An answer, a tool, what was allowed and refused, asking again, stopping, errors."""
    site = serve(module, server, path)
    with requests.Session() as session:
        session.get(site.url, timeout=20)
        token = session.cookies.get("csrftoken")
    headers = json.dumps({"x-csrftoken": token, "cookie": f"csrftoken={token}"} if token else {})

    def chat(*steps):
        return node("chat.mjs", site.url + path, json.dumps(steps), headers, *packages)

    said, weather, waits, allowed = chat(
        {"say": "What is 2 + 3?"}, {"say": "What is the weather in Rome?"}, {"say": "Please pay"}, {"decide": True}
    )
    assert [one["status"] for one in (said, weather, waits, allowed)] == ["ready"] * 4
    assert texts(said["messages"][-1]) == "2 + 3 = 5"
    (call,) = [part for part in weather["messages"][-1]["parts"] if part["type"] == "tool-weather"]
    assert (call["state"], call["input"], call["output"]) == ("output-available", {"city": "Rome"}, "Rome: sunny")
    assert texts(weather["messages"][-1]) == "weather says: Rome: sunny"
    assert waits["messages"][-1]["parts"][-1]["state"] == "approval-requested"
    (call,) = [part for part in allowed["messages"][-1]["parts"] if part["type"] == "tool-pay"]
    assert call["state"] == "output-available"
    assert texts(allowed["messages"][-1]).startswith("pay says: paid")
    assert len(allowed["messages"]) == 6  # the answer went on where it had waited

    _, refused, again = chat({"say": "Please pay"}, {"decide": False}, {"regenerate": True})
    (call,) = [part for part in refused["messages"][-1]["parts"] if part["type"] == "tool-pay"]
    assert call["state"] == "output-denied"
    assert again["status"] == "ready"

    upstream.reply("word " * 500)
    upstream.fault(token_delay=0.05)
    (stopped,) = chat({"say": "Tell me a lot", "stop_after": 20})
    assert 20 <= len(texts(stopped["messages"][-1])) < 2000

    upstream.fault(400, message="secret words of the provider")
    failed, better = chat({"say": "Fail"}, {"say": "What is 1 + 1?"})
    assert (failed["status"], failed["error"]) == ("error", "The message cannot be answered as it is.")
    assert texts(better["messages"][-1]) == "1 + 1 = 2"

    upstream.reply("one two three four five")
    upstream.fault(cut_after=3)
    if packages[1] == "ai":  # earlier versions need sdk_version=
        (mended,) = chat({"say": "What is 3 + 4?"})  # asked again; what had come is gone
        assert texts(mended["messages"][-1]) == "3 + 4 = 7"
        upstream.fault(cut_after=3, times=2)
        upstream.reply("one two three four five")
        upstream.reply("one two three four five")
        (cut,) = chat({"say": "Break off"})
        assert (cut["status"], cut["error"]) == ("error", "The answer broke off.")


CALL = ToolCall("c1", "find", {"q": "x"})


@pytest.mark.parametrize(("client", "version"), [("ai5", 5), ("ai6", 6), ("ai", 7)])
def test_every_version_of_the_client_reads_it(client, version):
    """What was thrown away is gone where the client knows how; no version takes a part for an error."""
    from provider_kit import ChatResponse, Message
    from provider_kit.tools.run_events import StepEnded

    events = [
        ThinkingDelta("hm", 1, None),
        TextDelta("void", 1, None),
        RunReset(1, StreamError("it broke off")),
        TextDelta("Let me see.", 1, None),
        StepEnded(ChatResponse(Message("assistant", [CALL]), "tool_calls"), 1),
        ToolFinished(CALL, ToolResult("c1", "no", is_error=True), 1, None, denied=True),
        TextDelta("Done.", 2, None),
    ]
    stream = b"".join(ui_stream(iter(events), "vercel", sdk_version=version))
    read = node("read.mjs", client, stdin=stream)
    assert read["error"] is None
    shown = texts(read["message"])
    assert shown == ("" if version == 7 else "void") + "Let me see.Done."
    (call,) = [part for part in read["message"]["parts"] if part["type"] == "tool-find"]
    assert call["state"] == ("output-error" if version == 5 else "output-denied")


@pytest.mark.parametrize(("client", "version"), [("ai5", 5), ("ai6", 6), ("ai", 7)])
def test_an_error_in_the_middle_is_read_as_one(client, version):
    """With its text, and what came before."""

    def breaking():
        yield "Hello"
        raise StreamError("secret")

    stream = b"".join(ui_stream(breaking(), "vercel", sdk_version=version))
    read = node("read.mjs", client, stdin=stream)
    assert "The answer broke off." in read["error"]
    assert texts(read["message"]) == "Hello"
