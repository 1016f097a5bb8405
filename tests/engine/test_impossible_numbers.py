"""Numbers that no token count, clock or price can have, and values nested too deeply: answered, or a typed error."""

import json
import math

import pytest

from provider_kit import BadRequestError, ProviderKitError, RateLimitConfig
from provider_kit.auth.storage.protocol import read_record
from provider_kit.errors import StorageError

HUGE = 10**400
NOT_A_NUMBER = '{"x":NaN,"y":Infinity}'


def answer(usage, arguments="{}"):
    message = {"role": "assistant", "content": "Hi"}
    return {"json": {"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}}


@pytest.mark.parametrize("total", [HUGE, -HUGE, -5, 1e300, True])
def test_a_count_that_cannot_be_does_not_disturb_the_limits(call, scripted, answers, total):
    """The answer arrives, its usage says nothing, and the tokens that were claimed stay claimed."""
    usage = {"total_tokens": total}
    client, _ = scripted(answer(usage), answers.text(), rate_limit=RateLimitConfig(tokens_per_minute=100_000))
    result = call.chat(client, "Hello", max_tokens=10)
    assert result.text == "Hi"
    assert result.usage.total_tokens is None
    assert call.chat(client, "Hello", max_tokens=10).text


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_arguments_with_no_numbers_are_read(call, scripted, streamed):
    """A server in Python writes NaN; the arguments are told as it wrote them."""
    item = '{"type":"function_call","id":"i","call_id":"c","name":"f","arguments":' + NOT_A_NUMBER + "}"
    whole = '{"status":"completed","output":[' + item + "]}"
    if streamed:
        event = '{"type":"response.completed","response":' + whole + "}"
        entry = {"stream": [f"data: {event}\n\n".encode()]}
        _, result = call.stream(scripted(entry, target="openai/gpt-5")[0], "Hello")
    else:
        result = call.chat(scripted({"body": whole.encode()}, target="openai/gpt-5")[0], "Hello")
    (made,) = result.tool_calls
    assert made.arguments_json == NOT_A_NUMBER
    assert math.isnan(made.arguments["x"])
    assert made.arguments["y"] == math.inf


def test_an_announced_call_can_be_shown_while_it_streams(call, scripted):
    """The answer so far of a stream that breaks off after such a call."""
    item = '{"type":"function_call","call_id":"c","name":"f","arguments":' + NOT_A_NUMBER + "}"
    event = '{"type":"response.output_item.added","output_index":0,"item":' + item + "}"
    client, _ = scripted({"stream": [f"data: {event}\n\n".encode()]}, target="openai/gpt-5", max_retries=0)
    with pytest.raises(ProviderKitError) as caught:
        call.stream(client, "Hello")
    assert caught.value.partial.tool_calls[0].arguments_json == NOT_A_NUMBER


def test_an_error_nested_beyond_reading_is_told_as_text(call, scripted):
    """Whatever reads the JSON, and however deep it goes."""
    for depth in (900, 988, 5000, 100_000):
        body = '{"error":' * depth + '"no"' + "}" * depth
        client, _ = scripted({"status": 400, "body": body.encode()}, max_retries=0)
        with pytest.raises(BadRequestError) as caught:
            call.chat(client, "Hello")
        assert caught.value.message.startswith(('{"error":{', "The provider gave no reason"))


@pytest.mark.parametrize("errors", [[""], [" "], [None], [[]]])
def test_an_error_without_words_says_so(call, scripted, errors):
    """An empty message would help nobody."""
    client, _ = scripted({"status": 400, "json": {"errors": errors}}, max_retries=0)
    with pytest.raises(BadRequestError) as caught:
        call.chat(client, "Hello")
    assert caught.value.message.strip()


def test_a_status_in_a_body_is_a_status(call, scripted):
    """A code of its own, or a number beyond all codes, is none."""
    client, _ = scripted({"status": 200, "json": {"error": {"message": "no", "code": 20012}}}, max_retries=0)
    with pytest.raises(ProviderKitError) as caught:
        call.chat(client, "Hello")
    assert (caught.value.status_code, caught.value.code) == (200, "20012")


def test_a_price_that_cannot_be_does_not_lose_the_list(call, scripted):
    """The model is told without that price."""
    data = [{"id": "m", "pricing": {"prompt": "1e999999999999999", "completion": "0.000001"}}]
    client, _ = scripted({"json": {"data": data}}, target="openrouter")
    (model,) = call.models(client)
    assert (model.pricing.input, model.pricing.output) == (None, 1)


@pytest.mark.parametrize("name", ["expires_at", "obtained_at", "refreshing_since"])
@pytest.mark.parametrize("time", ["1" + "0" * 400, "-1" + "0" * 400, "NaN", "Infinity", "1e300"])
def test_a_token_file_with_a_time_that_cannot_be_is_damaged(name, time):
    """A typed error says which file it is."""
    data = ('{"access_token":"at-0123456789abcdef","' + name + '":' + time + "}").encode()
    with pytest.raises(StorageError, match="the file"):
        read_record(data, "the file")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_argument_far_beyond_its_list_is_an_error(call, scripted, streamed):
    """Not a list of a hundred thousand empty places."""
    partial = {"name": "f", "partialArgs": [{"jsonPath": "$.a[99999]", "numberValue": 1}]}
    body = {"candidates": [{"content": {"parts": [{"functionCall": partial}]}, "finishReason": "STOP"}]}
    entry = {"stream": [b"data: " + json.dumps(body).encode() + b"\n\n"]} if streamed else {"json": body}
    client, _ = scripted(entry, target="gemini/gemini-2.5-flash", max_retries=0)
    with pytest.raises(ProviderKitError, match="far beyond the end"):
        (call.stream if streamed else call.chat)(client, "Hello")
