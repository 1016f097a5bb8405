"""A file of text arrives as its text, in every dialect, whatever encoding it was saved in; or it is refused."""

import base64
import codecs
import json

import pytest

from provider_kit import Client, Document, InvalidRequestError, Message, ScriptedTransport, Text, ToolCall, ToolResult

TARGETS = {
    "chat completions": "openai/gpt-4o",
    "responses": "openai/gpt-5-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama/llama3.2",
}
WRITTEN = "Grüße, 世界"
READABLE = {
    "UTF-8": WRITTEN.encode(),
    "UTF-8 with a mark": codecs.BOM_UTF8 + WRITTEN.encode(),
    "UTF-16": codecs.BOM_UTF16_LE + WRITTEN.encode("utf-16-le"),
    "UTF-16, the other way round": codecs.BOM_UTF16_BE + WRITTEN.encode("utf-16-be"),
    "UTF-32": codecs.BOM_UTF32_LE + WRITTEN.encode("utf-32-le"),
}
PARSE_ERRORS = {
    "Latin-1": "Grüße".encode("latin-1"),
    "UTF-16 without a mark": WRITTEN.encode("utf-16-le"),
    "UTF-16, cut": codecs.BOM_UTF16_LE + WRITTEN.encode("utf-16-le")[:-1],
    "Shift JIS": "世界".encode("shift_jis"),
}


class Nowhere(Exception):
    """What the transport of these tests ends with."""


def sent(call, target, files):
    """The texts of the body that a call sends, with what lies in base64."""
    transport = ScriptedTransport([Nowhere()])
    options = {"use_responses_api": True} if target == "openai/gpt-5-mini" else {}
    client = Client(target, api_key="test-key-0123456789", transport=transport, max_retries=0, **options)
    with pytest.raises(Nowhere):
        call.chat(client, "Read this.", files=files)
    texts = []

    def walk(value):
        if isinstance(value, dict):
            if "inlineData" in value:
                texts.append(base64.b64decode(value["inlineData"]["data"]).decode())
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, str):
            texts.append(value)

    walk(json.loads(transport.requests[-1].body))
    return texts


@pytest.mark.parametrize("encoding", READABLE)
@pytest.mark.parametrize("target", TARGETS)
def test_the_model_reads_what_a_person_sees(call, tmp_path, target, encoding):
    """No byte order mark, no zeros between the letters, nothing replaced."""
    path = tmp_path / "notes.txt"
    path.write_bytes(READABLE[encoding])
    texts = sent(call, TARGETS[target], [path])
    assert any(WRITTEN in text for text in texts), texts
    assert not any("\ufeff" in text or "\0" in text or "\ufffd" in text for text in texts)


@pytest.mark.parametrize("encoding", PARSE_ERRORS)
@pytest.mark.parametrize("target", TARGETS)
def test_text_in_another_encoding_is_refused_before_sending(call, tmp_path, target, encoding):
    """Its letters would be lost, or become others."""
    path = tmp_path / "notes.txt"
    path.write_bytes(PARSE_ERRORS[encoding])
    transport = ScriptedTransport([])
    client = Client(TARGETS[target], api_key="test-key-0123456789", transport=transport, max_retries=0)
    with pytest.raises(
        InvalidRequestError, match=r"'notes\.txt' is text/plain, but (not in UTF-8|holds NUL)"
    ) as caught:
        call.chat(client, "Read this.", files=[path])
    assert "Save it as text in UTF-8" in caught.value.hint
    assert not transport.requests


def test_a_document_without_a_name_says_so_too():
    """Made from bytes."""
    with pytest.raises(InvalidRequestError, match=r"^The document is text/csv"):
        _ = Document(data=b"\xff\xfe\xfd", media_type="text/csv").as_text


@pytest.mark.parametrize("target", TARGETS)
def test_text_files_of_a_tool_result_do_not_run_together(call, target):
    """They stay apart from the text and from each other: as parts, or with a blank line between them."""
    transport = ScriptedTransport([Nowhere()])
    client = Client(TARGETS[target], api_key="test-key-0123456789", transport=transport, max_retries=0)
    asked = ToolCall("c1", "look", {})
    notes = Document(data=WRITTEN.encode(), media_type="text/plain", filename="notes.txt")
    result = ToolResult("c1", [Text("fir"), Text("st"), notes, notes, Text("last")])
    with pytest.raises(Nowhere):
        call.chat(client, ["Look.", Message("assistant", [asked]), Message("tool", [result])])
    body = json.dumps(json.loads(transport.requests[-1].body), ensure_ascii=False)
    for together in (f"st{WRITTEN}", f"{WRITTEN}{WRITTEN}", f"{WRITTEN}last"):
        assert together not in body
    assert WRITTEN in body
    assert result.text == f"first\n\n{WRITTEN}\n\n{WRITTEN}\n\nlast"
    assert ToolResult("c1", "alone").text == "alone"
