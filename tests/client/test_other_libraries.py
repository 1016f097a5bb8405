"""What other libraries call things is answered with the word to use here, before anything is sent."""

import asyncio
import copy
import inspect
import pickle
import pydoc
from unittest.mock import create_autospec

import pytest

from provider_kit import Client, ConfigError, InvalidRequestError, Router
from provider_kit.model.call_options import ChatOptions, OutputOptions
from provider_kit.model.inputs import RUN_OPTIONS
from provider_kit.model.other_libraries import ARGUMENTS, ATTRIBUTES, instead_of_argument, snake_case

KNOWN = {*ChatOptions.__annotations__, *OutputOptions.__annotations__, *RUN_OPTIONS}


@pytest.fixture(params=["client", "router"])
def target(request):
    """Whatever has the verbs."""
    client = Client("demo/echo")
    with client if request.param == "client" else Router([client]) as made:
        yield made


#: Forty mistakes in a program, and words of the answer.
MISTAKES = [
    ("x.chat('Hi', stream=True)", "client.stream(…)"),
    ("x.chat('Hi', streaming=True)", "client.stream(…)"),
    ("x.chat('Hi', api_key='sk-1')", "with_options(api_key=…)"),
    ("x.chat('Hi', base_url='http://x')", "argument of the client"),
    ("x.chat('Hi', retries=3)", "max_retries="),
    ("x.chat('Hi', max_retries=3)", "max_retries="),
    ("x.chat('Hi', response_model=int)", "output_type="),
    ("x.chat('Hi', text_format=int)", "output_type="),
    ("x.chat('Hi', instructions='Be brief.')", "system="),
    ("x.chat('Hi', system_prompt='Be brief.')", "system="),
    ("x.chat('Hi', n=3)", "client.map("),
    ("x.chat('Hi', functions=[])", "tools="),
    ("x.chat('Hi', function_call='auto')", "tool_choice="),
    ("x.chat('Hi', reasoning_effort='low')", "reasoning="),
    ("x.chat('Hi', thinking={'type': 'enabled'})", "reasoning="),
    ("x.chat('Hi', stop_sequences=['x'])", "stop="),
    ("x.chat('Hi', logprobs=True)", "extra_body="),
    ("x.chat('Hi', headers={'a': 'b'})", "extra_headers="),
    ("x.chat('Hi', images=['a.png'])", "files="),
    ("x.chat('Hi', json_mode=True)", "response_format='json'"),
    ("x.chat('Hi', max_steps=3)", "client.run("),
    ("x.chat('Hi', temprature=0)", "'temperature'"),
    ("x.chat('Hi', maxTokens=5)", "max_tokens"),
    ("x.chat(input='Hi')", "first argument"),
    ("x.chat('Hi', OutputFile='a.txt')", "write_text("),
    ("x.chat('Hi', Language='de')", "system="),
    ("x.chat('Hi', ContextFiles=['a.py'])", "files="),
    ("x.chat('Hi', ProviderOptions={})", "extra_body="),
    ("x.chat('Hi', fallbacks=['a/b'])", "Router("),
    ("x.chat('Hi', request_timeout=5)", "timeout="),
    ("x.chat('Hi', session_id='ada')", "client.conversation("),
    ("x.chat.completions.create(messages=[])", "client.chat("),
    ("x.completions.create(prompt='Hi')", "client.chat("),
    ("x.messages.create(messages=[])", "client.chat("),
    ("x.responses.create(input='Hi')", "client.chat("),
    ("x.models.list()", "client.models()"),
    ("x.models.generate_content(contents='Hi')", "client.chat("),
    ("x.embeddings.create(input='Hi')", "client.embed("),
    ("x.invoke('Hi')", "client.chat("),
    ("x.ask('Hi')", "client.chat("),
    ("x.bind_tools([])", "client.run("),
    ("x.with_structured_output(int)", "output_type="),
    ("x.WithTimeout(30)", "with_options("),
    ("x.with_max_tokens(30)", "with_options("),
    ("x.GenerateChatCompletion('Hi')", "client.chat("),
    ("x.HealthCheck()", "health_check"),
    ("x.conversation(sytem='Be brief.')", "'system'"),
    ("x.conversation().ask('Hi')", "talk.say("),
    ("x.conversation().history", "talk.messages"),
    ("x.conversation().say('Hi', stream=True)", "client.stream(…)"),
    ("x.chat('Hi').choices[0].message.content", "reply.text"),
    ("x.chat('Hi').content", "reply.text"),
    ("x.chat('Hi').output_parsed", "reply.parsed"),
    ("x.chat('Hi').usage_metadata", "reply.usage.input_tokens"),
    ("next(iter(x.stream('Hi'))).choices[0].delta.content", "chunk.text"),
    ("x.run('Hi', max_turns=3)", "max_steps="),
    ("x.map(['Hi'], max_workers=3)", "concurrency="),
    ("x.with_options(temprature=1)", "'temperature'"),
    ("await x.astream('Hi')", "async for chunk in client.astream"),
    ("await x.achat('Hi', stream=True)", "client.astream(…)"),
    ("[chunk for chunk in x.astream('Hi')]", "async for"),
    ("[chunk async for chunk in x.stream('Hi')]", "client.astream"),
    ("await x.stream('Hi')", "client.astream"),
    ("await x.amap(['Hi'])", "async for reply in client.amap"),
]


@pytest.mark.parametrize(("code", "words"), MISTAKES, ids=[code for code, _ in MISTAKES])
@pytest.mark.filterwarnings("ignore::provider_kit.BlockingCallWarning")
def test_a_mistake_in_a_program_is_answered_with_the_word_that_helps(target, code, words):
    """In the error itself, or in the hint below the traceback."""
    space = {"x": target}
    exec(f"async def main():\n    {code}", space)  # the table above
    with pytest.raises((InvalidRequestError, ConfigError, AttributeError, TypeError)) as caught:
        asyncio.run(space["main"]())
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert words in told or words.replace("client.", "router.") in told


CLIENTS = [
    ("Client('demo/echo', api_base='http://x')", "base_url="),
    ("Client('demo/echo', num_retries=3)", "max_retries="),
    ("Client('demo/echo', openai_api_key='x')", "api_key="),
    ("Client('demo/echo', temperature=0)", "defaults="),
    ("Client('demo/echo', http_client=None, maxRetries=3)", "session="),
    ("Client('demo/echo', maxRetries=3)", "max_retries"),
    ("Client('demo/echo', proxies={})", "HTTPConfig(proxy="),
    ("Client('demo/echo', use_responses_api=False)", "use_responses_api"),
    ("Client('demo/echo', tiemout=3)", "'timeout'"),
    ("Router(['demo'], retries=3)", "max_retries="),
    ("Router(['demo'], stratgy='random')", "'strategy'"),
    ("Router(['demo'], fallbacks=[])", "Targets are a list"),
    ("Router(['demo'], routing_strategy='least-busy')", "strategy="),
    ("Client('demo/echo', organization='x')", "It is an option of openai"),
    ("Client('demo/echo', cache=True)", "It is an argument of chat()"),
    ("provider_kit.AsyncClient('demo')", "achat"),
    ("provider_kit.completion('demo')", ".chat("),
]


@pytest.mark.parametrize(("code", "words"), CLIENTS, ids=[code for code, _ in CLIENTS])
def test_a_mistake_at_the_constructor_is_answered(code, words):
    """A client is not made."""
    import provider_kit

    with pytest.raises((ConfigError, AttributeError)) as caught:
        eval(code, {"Client": Client, "Router": Router, "provider_kit": provider_kit})  # the table above
    assert words in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


def test_every_argument_of_the_table_is_refused_with_its_sentence(target, world):
    """By calls, runs and conversations, and by clients and routers themselves; nothing is sent."""
    talk = target.conversation()
    assert not KNOWN & set(ARGUMENTS), "an argument that exists here needs no other word"
    for name, meant in ARGUMENTS.items():
        for one, method in ((target, "chat"), (target, "run"), (talk, "say")):
            if (name, method) == ("message", "say"):
                continue  # it is the name of the first argument there
            with pytest.raises(InvalidRequestError) as caught:
                world(one, method, "Hi", **{name: 1})
            assert caught.value.hint == meant
    assert target.metrics.request_count == 0


@pytest.mark.parametrize(
    ("name", "ours"),
    [("MaxTokens", "max_tokens"), ("maxTokens", "max_tokens"), ("APIKey", "api_key"), ("BaseURL", "base_url")],
)
def test_other_languages_write_names_with_capitals(name, ours):
    """They are answered as if they were written in Python's way."""
    assert snake_case(name) == ours
    assert instead_of_argument(name, [ours]) == f"It is called {ours} here."
    assert instead_of_argument("ReasoningEffort") == ARGUMENTS["reasoning_effort"]


def test_attributes_of_the_table_do_not_exist(target):
    """hasattr says so, and none of them hides one that does exist."""
    reply = target.chat("Hi")
    (chunk, *_) = target.stream("Hi")
    objects = {"client": target, "conversation": target.conversation(), "reply": reply, "chunk": chunk}
    assert objects.keys() | {"package"} == ATTRIBUTES.keys()
    for kind, one in objects.items():
        for name, meant in ATTRIBUTES[kind].items():
            assert not hasattr(one, name), (kind, name)
            with pytest.raises(AttributeError) as caught:
                getattr(one, name)
            told = str(caught.value)
            assert meant in told or "router" in told
            assert name not in dir(type(one)) or kind == "chunk"
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'") as caught:
            one.nonsense  # noqa: B018
        assert caught.value.name == "nonsense"  # Python suggests a similar one


def test_tools_of_python_are_not_disturbed(target):
    """Copies, pickles, specs of mocks, help, and libraries that look whether something is there."""
    assert not hasattr(target, "completions")
    assert not hasattr(target, "__len__")
    assert getattr(target, "messages", None) is None
    assert copy.copy(target).chat("Hi").text == "Hi"
    with pickle.loads(pickle.dumps(target)) as loaded:
        assert loaded.chat("Hi").text == "Hi"
    for mock in (create_autospec(target), create_autospec(type(target))("demo")):
        mock.chat.return_value = 1
        assert mock.chat("Hi") == 1
        assert not hasattr(mock, "completions")
    assert "Send a conversation" in pydoc.render_doc(target)
    assert copy.deepcopy(target.chat("Hi")).text == "Hi"
    assert copy.copy(target.conversation()).messages == []
    assert inspect.ismethod(target.chat)
