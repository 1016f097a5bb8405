"""Models, embeddings and token counts."""

import pytest

from provider_kit import (
    BadRequestError,
    InvalidRequestError,
    InvalidResponseError,
    NotSupportedError,
    RateLimitError,
)


def vectors(request, *, start=0):
    import json

    texts = json.loads(request.body)["input"]
    data = [{"index": index, "embedding": [float(len(text))]} for index, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"json": {"data": data, "model": "m", "usage": usage}, "headers": {"x-request-id": f"r{len(texts)}"}}


def test_models_are_listed_over_all_pages(call, scripted):
    """Pages are followed until there is no next one."""
    first = {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}
    second = {"data": [{"id": "b"}], "has_more": False, "last_id": "b"}
    client, transport = scripted({"json": first}, {"json": second}, target="anthropic")
    assert [model.id for model in call.models(client)] == ["a", "b"]
    assert "after_id=a" in transport.requests[1].url


def test_pages_that_never_end_end_all_the_same(call, scripted):
    """A server that repeats its cursor is not asked for ever."""
    page = {"json": {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}}
    client, transport = scripted(page, target="anthropic", repeat=True)
    assert [model.id for model in call.models(client)] == ["a"]
    assert len(transport.requests) == 2


def test_pages_with_ever_new_cursors_end_too(call, scripted):
    """A hundred pages are more than any provider has."""
    numbers = iter(range(1000))

    def page(request):
        return {"json": {"data": [{"id": "a"}], "has_more": True, "last_id": f"c{next(numbers)}"}}

    client, transport = scripted(page, target="anthropic", repeat=True)
    assert [model.id for model in call.models(client)] == ["a"]
    assert len(transport.requests) == 100


def test_embeddings_are_asked_for_in_batches(call, scripted):
    """As many requests as the provider's batch size asks for; vectors in order, usage added up."""
    texts = ["x" * (number % 7 + 1) for number in range(2050)]
    client, transport = scripted(vectors, vectors, target="openai/text-embedding-3-small")
    result = call.embed(client, texts)
    assert len(transport.requests) == 2
    assert [vector[0] for vector in result.vectors] == [len(text) for text in texts]
    assert (result.usage.input_tokens, result.usage.total_tokens) == (2050, 2050)
    assert (len(result), result.model, result.provider, result.request_id) == (2050, "m", "openai", "r2")


def test_unknown_usage_stays_unknown_over_batches(call, scripted):
    """A batch without usage makes the sum unknown, not too small."""

    def silent(request):
        answer = vectors(request)
        del answer["json"]["usage"]
        return answer

    client, _ = scripted(vectors, silent, target="openai/text-embedding-3-small")
    assert call.embed(client, ["x"] * 2049).usage.total_tokens is None


def test_one_text_is_one_vector(call, scripted):
    """A string is a list of one."""
    client, transport = scripted(vectors)
    assert call.embed(client, "abc", model="other", dimensions=3, extra_body={"user": "u"}).vectors == [[3.0]]
    assert b'"user":"u"' in transport.requests[0].body
    assert b'"model":"other"' in transport.requests[0].body
    assert b'"dimensions":3' in transport.requests[0].body


@pytest.mark.parametrize("texts", ["", [], [""], ["a", 5], [None], b"abc", 5, None], ids=repr)
def test_only_texts_can_be_embedded(call, scripted, texts):
    """Nothing, empty texts and things that are no text are refused."""
    client, transport = scripted()
    with pytest.raises(InvalidRequestError, match=r"embed\(\) takes"):
        call.embed(client, texts)
    assert transport.requests == []


@pytest.mark.parametrize(
    "options", [{"dimensions": 0}, {"dimensions": "3"}, {"dimensions": True}, {"extra_body": 5}, {"model": 5}], ids=repr
)
def test_wrong_arguments_of_embed_are_refused(call, scripted, options):
    """What makes no sense is told before anything is sent."""
    client, transport = scripted()
    with pytest.raises(InvalidRequestError):
        call.embed(client, "abc", **options)
    assert transport.requests == []


def test_embeddings_need_a_model(call, scripted):
    """Without any model there is a clear error."""
    client, _ = scripted(target="http://127.0.0.1:1/v1")
    with pytest.raises(InvalidRequestError, match="No model"):
        call.embed(client, "abc")


def test_too_few_vectors_are_an_error(call, scripted):
    """Vectors that could not be matched with their texts are not handed out."""
    client, _ = scripted({"json": {"data": [{"index": 0, "embedding": [1.0]}]}}, max_retries=0)
    with pytest.raises(InvalidResponseError, match="2 texts were sent, 1 vectors came back") as caught:
        call.embed(client, ["a", "b"])
    assert (caught.value.provider, caught.value.operation) == ("openai", "embed")


def test_tokens_are_counted_by_the_provider(call, scripted):
    """The provider's own number, with headers and query of the call."""
    client, transport = scripted({"json": {"input_tokens": 7}}, target="anthropic/claude-sonnet-4-5")
    assert call.count_tokens(client, "Hello", extra_headers={"X-A": "1"}, extra_query={"q": "1"}) == 7
    assert transport.requests[0].headers["X-A"] == "1"
    assert transport.requests[0].url.endswith("/v1/messages/count_tokens?q=1")


def test_what_a_provider_lacks_is_told(call, scripted):
    """No guess in place of a missing endpoint."""
    client, transport = scripted(target="anthropic/claude-sonnet-4-5")
    with pytest.raises(NotSupportedError, match="embeddings") as caught:
        call.embed(client, "abc")
    assert caught.value.provider == "anthropic"
    client, _ = scripted(target="mistral/mistral-small-latest")
    with pytest.raises(NotSupportedError, match="token counting"):
        call.count_tokens(client, "abc")
    assert transport.requests == []


@pytest.mark.parametrize("verb", ["models", "embed", "count_tokens"])
@pytest.mark.parametrize("payload", [None, [], 5, "x", {}, {"data": 5}, {"data": [5]}, {"models": [5]}], ids=repr)
@pytest.mark.parametrize("target", ["openai/gpt-5", "anthropic/claude-x", "gemini/gemini-x", "ollama/llama"])
def test_answers_of_whatever_shape_are_typed_errors(call, scripted, target, verb, payload):
    """JSON of any shape never becomes a KeyError."""
    client, _ = scripted({"json": payload}, target=target, max_retries=0)
    arguments = () if verb == "models" else ("abc",)
    try:
        getattr(call, verb)(client, *arguments)
    except (InvalidResponseError, NotSupportedError):
        pass


@pytest.mark.parametrize("verb", ["models", "embed", "count_tokens"])
def test_small_calls_are_tried_again_too(call, scripted, answers, verb):
    """Retries, typed errors and attempts are the same for every call."""
    client, transport = scripted(
        answers.error(429, retry_after="2"),
        answers.error(400, message="no"),
        target="openai/gpt-5",
    )
    arguments = () if verb == "models" else ("abc",)
    with pytest.raises(BadRequestError, match="no") as caught:
        getattr(call, verb)(client, *arguments)
    assert transport.sleeps == [2.0]
    assert [a.error for a in caught.value.attempts] == ["RateLimitError", "BadRequestError"]
    assert caught.value.operation == verb


def test_an_attempt_at_a_later_page_tells_its_own_time(call, scripted, late, answers):
    """Not the time of the pages before it."""
    page = {"json": {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}}
    client, _ = scripted(late(5, page), late(1, answers.error(400)), target="anthropic")
    with pytest.raises(BadRequestError) as caught:
        call.models(client)
    assert [a.duration for a in caught.value.attempts] == [1.0]


def test_an_error_object_with_status_200_is_an_error_of_small_calls(call, scripted):
    """The error inside is found."""
    client, _ = scripted({"json": {"error": {"message": "slow", "code": "rate_limit_exceeded"}}}, max_retries=0)
    with pytest.raises((RateLimitError, InvalidResponseError)) as caught:
        call.models(client)
    assert caught.value.provider == "openai"
