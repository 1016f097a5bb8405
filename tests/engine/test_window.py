"""A conversation that cannot fit is refused before it is sent."""

import pytest

from provider_kit import Client, ContextLengthExceededError, Document, Image, Message, ScriptedTransport

KEY = "sk-test-0123456789"
ANSWER = {"json": {"model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}


def make(target="openai/gpt-4o", *answers, **options):
    transport = ScriptedTransport(list(answers))
    return Client(target, api_key=KEY, transport=transport, max_retries=0, **options), transport


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_far_too_long_a_conversation_is_refused(call, verb):
    """With the size, the window, and models that would hold it."""
    client, transport = make()
    with pytest.raises(ContextLengthExceededError, match=r"about 2\d\d,\d\d\d tokens; gpt-4o holds 128,000") as caught:
        getattr(call, verb)(client, "one word after another " * 55_000)
    error = caught.value
    assert not transport.requests
    assert (error.provider, error.model, error.retryable) == ("openai", "gpt-4o", False)
    assert error.suggested_models
    assert all(client.model_info(name).context_window > 220_000 for name in error.suggested_models)
    assert error.suggested_models[0] in error.hint


def test_what_may_fit_is_sent(call):
    """The estimate may be too high; the provider decides."""
    client, transport = make("openai/gpt-4o", ANSWER)
    call.chat(client, "one word after another " * 34_000)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("text", ["=" * 600_000, " " * 500_000 + "x", "a" * 400_000, "-" * 1000 * 500])
def test_long_runs_of_one_character_are_few_tokens(call, text):
    """More characters than the window has tokens do not make it too long."""
    client, transport = make("openai/gpt-4o", ANSWER)
    call.chat(client, text)
    assert len(transport.requests) == 1


def test_an_unknown_window_refuses_nothing(call):
    """Nothing is guessed."""
    client, transport = make("openai/mystery", ANSWER)
    call.chat(client, "one word after another " * 55_000)
    assert len(transport.requests) == 1


def test_a_window_of_the_users_counts_however_small(call):
    """It is known, then."""
    client, _ = make("openai/small", model_overrides={"small": {"context_window": 20}})
    with pytest.raises(ContextLengthExceededError, match="small holds 20"):
        call.chat(client, "one word after another " * 10)


def test_text_files_count_and_pictures_do_not(call):
    """Their tokens are known before; those of a picture are the provider's affair."""
    client, transport = make("openai/small", ANSWER, model_overrides={"small": {"context_window": 40}})
    notes = Document(data=b"one word after another " * 40, media_type="text/plain")
    with pytest.raises(ContextLengthExceededError):
        call.chat(client, Message.user("Read:", notes))
    picture = Image(data=b"\x89PNG\r\n\x1a\n" + bytes(10_000) + b"IEND", media_type="image/png")
    call.chat(client, Message.user("Look:", picture))
    assert len(transport.requests) == 1


def test_a_small_call_reads_no_catalog(call):
    """Nearly all are."""
    from provider_kit.catalog.bundled import bundled_catalog

    bundled_catalog.cache_clear()
    client, _ = make("openai/gpt-4o", ANSWER)
    call.chat(client, "Hello " * 1000)
    assert bundled_catalog.cache_info().currsize == 0


def test_another_server_may_hold_more(call):
    """The refusal says how to tell that it does."""
    client, _ = make(base_url="http://own.test/v1")
    with pytest.raises(ContextLengthExceededError) as caught:
        call.chat(client, "one word after another " * 55_000)
    assert "model_overrides={'gpt-4o': {'context_window'" in caught.value.hint


@pytest.mark.parametrize("where", ["headers", "extra_headers", "extra_body"])
def test_fields_of_the_callers_own_may_enlarge_a_window(call, where):
    """As a header for a beta does."""
    fields = {where: {"x-own": "1"}}
    client, transport = make("openai/gpt-4o", ANSWER, **(fields if where == "headers" else {}))
    call.chat(client, "one word after another " * 55_000, **({} if where == "headers" else fields))
    assert len(transport.requests) == 1
