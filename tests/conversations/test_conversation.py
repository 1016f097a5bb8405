"""Conversations that remember, in both worlds."""

import asyncio
import gc
import json
import threading

import attrs
import pytest

from provider_kit import (
    APIError,
    Conversation,
    InternalServerError,
    InvalidRequestError,
    Message,
    PendingToolCallsError,
    StreamError,
    ToolCall,
    load_conversation,
    tool,
)


def texts(conversation):
    return [(message.role, message.text) for message in conversation.messages]


def stream(world, talk, *args, take=None, **options):
    """Read a streamed turn, or its first chunks."""
    if world.name == "blocking":
        chunks = []
        with talk.stream(*args, **options) as turn:
            for chunk in turn:
                chunks.append(chunk)
                if len(chunks) == take:
                    break
        return chunks, turn

    async def main():
        read = []
        turn = talk.astream(*args, **options)
        async with turn:
            async for chunk in turn:
                read.append(chunk)
                if len(read) == take:
                    break
        return read, turn

    return asyncio.run(main())


def test_it_remembers(world, client, server):
    """Each turn sends what was said before, and the system prompt once."""
    talk = client.conversation(system="Be brief.")
    assert world(talk, "say", "My name is Ada.").text == "Nice to meet you, Ada!"
    assert world(talk, "say", "What is my name?").text == "Your name is Ada."
    assert [message["role"] for message in server.requests[-1].json["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert [message.role for message in talk.messages] == ["user", "assistant"] * 2
    assert talk.usage.total_tokens > 0
    assert talk.cost > 0
    assert repr(talk) == "<Conversation: 4 messages>"


def test_a_streamed_turn_is_remembered(world, client):
    """And can be asked for its answer."""
    talk = client.conversation()
    stream(world, talk, "My name is Ada.")
    chunks, turn = stream(world, talk, "What is my name?")
    assert "".join(chunk.text for chunk in chunks) == "Your name is Ada."
    assert turn.response.text == "Your name is Ada."
    assert turn.response.usage.total_tokens
    assert len(talk.messages) == 4


@attrs.define
class Person:
    name: str
    age: int


def test_a_turn_may_have_a_type_and_options_of_its_own(world, client, server):
    """As chat."""
    talk = client.conversation(temperature=0)
    server.reply('{"name": "Bob", "age": 7}')
    reply = world(talk, "say", "Who?", output_type=Person, max_tokens=50)
    assert reply.parsed == Person("Bob", 7)
    assert server.requests[-1].json["temperature"] == 0
    assert server.requests[-1].json["max_completion_tokens"] == 50


def test_a_failed_turn_leaves_the_history_as_it_was(world, client, server):
    """Whole or streamed."""
    talk = client.conversation()
    world(talk, "say", "Hello")
    before = talk.messages
    for _ in range(2):
        server.fault(500)
        with pytest.raises(InternalServerError):
            world(talk, "say", "And now?")
        server.fault(500)
        with pytest.raises(InternalServerError):
            stream(world, talk, "And now?")
        assert talk.messages == before
    assert world(talk, "say", "Hello again").text


def test_a_broken_off_answer_is_kept_and_marked(world, client, server):
    """What was read, and what was received before the connection broke."""
    talk = client.conversation()
    server.reply("one two three four five six")
    chunks, turn = stream(world, talk, "Count.", take=3)
    gc.collect()
    said = "".join(chunk.text for chunk in chunks)
    assert texts(talk) == [("user", "Count."), ("assistant", talk.messages[-1].text)]
    assert talk.messages[-1].text.startswith(said)
    assert talk.messages[-1].incomplete
    assert turn.response.text
    server.fault(cut_after=4)
    server.reply("one two three four five six")
    with pytest.raises(StreamError):
        stream(world, talk, "Again.")
    assert talk.messages[-1].incomplete
    assert talk.messages[-1].text.startswith("one")
    assert world(talk, "say", "Go on.").text
    assert [message.role for message in talk.messages] == ["user", "assistant"] * 3


def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: sunny"


@tool(requires_approval=True)
def pay(amount: float) -> str:
    """Pay money."""
    return f"paid {amount:g}"


def test_tools_of_the_conversation_are_called(world, client):
    """say runs them, stream too."""
    talk = client.conversation(tools=[weather])
    reply = world(talk, "say", "What is the weather in Rome?")
    assert reply.text == "weather says: Rome: sunny"
    assert [message.role for message in talk.messages] == ["user", "assistant", "tool", "assistant"]
    chunks, turn = stream(world, talk, "What is the weather in Oslo?")
    assert "".join(chunk.text for chunk in chunks) == "weather says: Oslo: sunny"
    assert turn.response.stopped_by == "answer"
    agent = client.with_options(tools=[weather]).conversation()
    assert world(agent, "say", "What is the weather in Rome?").text == "weather says: Rome: sunny"


def test_events_of_a_streamed_turn(client):
    """For programs that show what happens."""
    talk = client.conversation(tools=[weather])
    names = [type(event).__name__ for event in talk.stream("What is the weather in Rome?").events()]
    assert {"ToolStarted", "ToolFinished", "TextDelta"} <= set(names)


def parked(world, client, server, **options):
    talk = client.conversation(tools=[weather, pay], **options)
    server.reply("", tool_calls=[("pay", {"amount": 3}), ("weather", {"city": "Rome"})])
    world(talk, "say", "Go.")
    return talk


def test_with_open_calls_nothing_further_can_be_said(world, client, server):
    """Until somebody decides."""
    talk = parked(world, client, server)
    (call,) = talk.pending_tool_calls
    with pytest.raises(PendingToolCallsError) as caught:
        world(talk, "say", "And now?")
    assert caught.value.calls == (call,)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("decide", "told"),
    [
        (lambda talk, call: talk.approve(call), "paid 3"),
        (lambda talk, call: talk.approve(), "paid 3"),
        (lambda talk, call: talk.deny(call.id, "Too much."), "This call was not allowed: Too much."),
        (lambda talk, call: talk.answer(call, {"receipt": 1}), '{"receipt":1}'),
        (lambda talk, call: talk.edit(call, {"amount": 2}), "paid 2"),
    ],
    ids=["approve", "approve all", "deny", "answer", "edit"],
)
def test_decisions_and_resume(world, client, server, decide, told):
    """Each decision once; then it goes on."""
    talk = parked(world, client, server)
    (call,) = talk.pending_tool_calls
    decide(talk, call)
    with pytest.raises(InvalidRequestError, match="decided already"):
        talk.approve(call)
    server.reply("done")
    assert world(talk, "resume").text == "done"
    assert talk.pending_tool_calls == []
    assert any(
        told in str(part.content) for message in talk.messages if message.role == "tool" for part in message.parts
    )
    with pytest.raises(InvalidRequestError):
        talk.approve(call)
    with pytest.raises(InvalidRequestError, match="No tool call waits"):
        talk.approve()


def test_a_decision_travels_with_the_json(world, client, server):
    """Beside the messages."""
    talk = parked(world, client, server)
    talk.approve()
    document = json.loads(talk.to_json())
    assert list(document["decisions"].values()) == [{"kind": "approve"}]
    other = Conversation.from_json(talk.to_json(), client, tools=[weather, pay])
    server.reply("done")
    assert world(other, "resume").text == "done"


def test_tools_that_have_run_are_not_forgotten_when_the_turn_fails(world, client, server):
    """They must not run again unseen; resume goes on."""
    talk = client.conversation(tools=[weather])
    server.reply("", tool_calls=[("weather", {"city": "Rome"})])
    failing = client.conversation(tools=[weather])
    failing._core = talk._core

    def after(step):
        server.fault(500)

    with pytest.raises(APIError):
        world(talk, "say", "Go.", after_step=after)
    assert [message.role for message in talk.messages] == ["user", "assistant", "tool"]
    server.reply("done")
    assert world(talk, "resume").text == "done"


# -------------------------------------------------------------------------------------------- history


def test_retry_undo_edit_and_branches(world, client, server):
    """What is replaced is kept as a branch."""
    talk = client.conversation()
    world(talk, "say", "Hello")
    server.reply("first")
    world(talk, "say", "Tell me.")
    server.reply("second")
    assert world(talk, "retry").text == "second"
    assert texts(talk)[-2:] == [("user", "Tell me."), ("assistant", "second")]
    server.reply("third")
    assert world(talk, "edit", "Tell me more.").text == "third"
    assert texts(talk)[-2:] == [("user", "Tell me more."), ("assistant", "third")]
    assert [message.text for message in talk.undo()] == ["Tell me more.", "third"]
    assert len(talk.messages) == 2
    assert [branch[-1].text for branch in talk.branches] == ["first", "second", "third"]
    talk.switch(0)
    assert talk.messages[-1].text == "first"
    assert len(talk.branches[0]) == 2
    with pytest.raises(InvalidRequestError, match="no branch 9"):
        talk.switch(9)


def test_a_copy_goes_its_own_way(world, client):
    """And the original does not see it."""
    talk = client.conversation(system="Be brief.")
    world(talk, "say", "My name is Ada.")
    copied = talk.branch()
    world(copied, "say", "My name is Bob.")
    assert len(talk.messages) == 2
    assert world(copied, "say", "What is my name?").text == "Your name is Bob."
    assert copied.system == "Be brief."


def test_an_empty_conversation_says_so(world, client):
    """Nothing to retry, undo or resume."""
    talk = client.conversation()
    for method in ("retry", "resume"):
        with pytest.raises(InvalidRequestError):
            world(talk, method)
    with pytest.raises(InvalidRequestError, match="Nothing was said"):
        talk.undo()
    with pytest.raises(InvalidRequestError):
        world(talk, "say", "")


def test_turns_wait_for_each_other(client, server):
    """Threads and tasks, in the order in which they came."""
    talk = client.conversation()
    answers = []

    def say(number):
        answers.append(talk.say(f"What is {number} + 1?").text)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == sorted(f"{n} + 1 = {n + 1}" for n in range(6))
    assert [message.role for message in talk.messages] == ["user", "assistant"] * 6

    async def main():
        return await asyncio.gather(*(talk.asay(f"What is {n} + 2?") for n in range(6)))

    replies = asyncio.run(main())
    assert [reply.text for reply in replies] == [f"{n} + 2 = {n + 2}" for n in range(6)]
    assert [message.role for message in talk.messages] == ["user", "assistant"] * 12


def test_another_provider_takes_over_and_the_first_gets_its_own_back(world, server, client):
    """Foreign ids and signatures are left out on the wire, with a warning, and not from the history."""
    claude = server.client("anthropic/claude-sonnet-4-5", max_retries=0)
    talk = claude.conversation(tools=[weather])
    server.reply("Thinking done.", thinking="I think.")
    world(talk, "say", "Hello")
    first = server.requests[-1].json
    server.reply("", tool_calls=[("weather", {"city": "Rome"})])
    world(talk, "say", "What is the weather?")
    before = talk.messages
    talk.client = client
    world(talk, "say", "Hi")
    assert talk.messages[: len(before)] == before
    talk.client = claude
    world(talk, "say", "Hi again")
    again = server.requests[-1].json["messages"]
    assert again[0] == first["messages"][0]
    assert {"tool_use", "tool_result"} <= {
        block["type"] for message in again if isinstance(message["content"], list) for block in message["content"]
    }


# -------------------------------------------------------------------------------------------- storing


def test_json_round_trip_keeps_what_it_does_not_know(world, client, tmp_path):
    """Fields of later versions are written back."""
    talk = client.conversation(system="Be brief.")
    world(talk, "say", "My name is Ada.")
    world(talk, "retry")
    path = tmp_path / "talk.json"
    talk.save(path)
    assert path.stat().st_mode & 0o077 == 0
    document = json.loads(path.read_text())
    document |= {"title": "Ada", "later": {"a": 1}}
    document["messages"][0]["mood"] = "good"
    path.write_text(json.dumps(document))
    again = Conversation.load(path, client)
    assert again.system == "Be brief."
    assert len(again.branches) == 1
    assert again.usage == talk.usage
    assert world(again, "say", "What is my name?").text == "Your name is Ada."
    written = json.loads(again.to_json())
    assert written["title"] == "Ada"
    assert written["later"] == {"a": 1}
    assert written["messages"][0]["mood"] == "good"
    assert [message.role for message in load_conversation(path.read_text())] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("3", "not a conversation"),
        ('{"messages": 3}', "not a conversation"),
        ('{"messages": [3]}', "malformed"),
        ('{"format": 99, "messages": []}', "format 99"),
        ('{"messages": [], "decisions": {"x": {"kind": "maybe"}}}', "no decision"),
    ],
)
def test_a_file_that_is_no_conversation_is_refused(client, text, said):
    """With what is wrong."""
    with pytest.raises(InvalidRequestError, match=said):
        Conversation.from_json(text, client)


def test_a_conversation_with_an_id_continues_tomorrow(world, client, server, tmp_path):
    """From its file, loaded at first use and readable by its owner only."""
    path = tmp_path / "history.db"
    talk = client.conversation("ada", system="Be brief.", store=path)
    assert not path.exists()
    world(talk, "say", "My name is Ada.")
    assert path.stat().st_mode & 0o077 == 0
    tomorrow = client.conversation("ada", store=path)
    assert world(tomorrow, "say", "What is my name?").text == "Your name is Ada."
    assert server.requests[-1].json["messages"][0]["content"] == "Be brief."
    assert len(client.conversation("ada", store=path).messages) == 4
    assert client.conversation("bob", store=path).messages == []
    tomorrow.delete()
    assert client.conversation("ada", store=path).messages == []


def test_the_default_file_is_in_the_users_data_folder(client, tmp_path, monkeypatch):
    """Or where PROVIDER_KIT_HISTORY says."""
    monkeypatch.setenv("PROVIDER_KIT_HISTORY", str(tmp_path / "mine.db"))
    client.conversation("ada").say("Hello")
    assert (tmp_path / "mine.db").exists()


class Shelf:
    """Three methods of one's own."""

    def __init__(self, awaited):
        self.kept = {}
        self.awaited = awaited

    def load(self, id):
        return self._maybe(self.kept.get(id))

    def save(self, id, document):
        self.kept[id] = json.loads(json.dumps(document))
        return self._maybe(None)

    def delete(self, id):
        self.kept.pop(id, None)
        return self._maybe(None)

    def _maybe(self, value):
        if not self.awaited:
            return value

        async def later():
            return value

        return later()


@pytest.mark.parametrize("awaited", [False, True])
def test_any_object_with_three_methods_stores(world, client, awaited):
    """Plain, or asynchronous in asyncio."""
    if awaited and world.name == "blocking":
        return
    shelf = Shelf(awaited)
    world(client.conversation("ada", store=shelf), "say", "My name is Ada.")
    assert world(client.conversation("ada", store=shelf), "say", "What is my name?").text == "Your name is Ada."
    assert len(shelf.kept["ada"]["messages"]) == 4


def test_a_failed_turn_is_not_stored(world, client, server, tmp_path):
    """Tomorrow it is as if it had not been."""
    talk = client.conversation("ada", store=tmp_path / "h.db")
    world(talk, "say", "Hello")
    server.fault(500)
    with pytest.raises(APIError):
        world(talk, "say", "And now?")
    assert len(client.conversation("ada", store=tmp_path / "h.db").messages) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("",), {}, "id of a conversation"),
        ((3,), {}, "id of a conversation"),
        ((), {"store": "x.db"}, "needs the id"),
        ((), {"system": 3}, "system must be a string"),
        ((), {"max_input_tokens": "many"}, "max_input_tokens"),
    ],
)
def test_wrong_arguments_are_refused(client, arguments, options, said):
    """When the conversation is made."""
    with pytest.raises(InvalidRequestError, match=said):
        client.conversation(*arguments, **options)


# -------------------------------------------------------------------------------------------- length


def test_older_turns_are_left_out_of_the_request_only(world, client, server):
    """The history keeps them; a summary takes their place where there is one."""
    talk = client.conversation(system="Be brief.", max_input_tokens=40)
    for number in range(6):
        world(talk, "say", f"What is {number} + 1, in some words more than are needed?")
    sent = server.requests[-1].json["messages"]
    assert sent[0]["role"] == "system"
    assert 2 <= len(sent) < 8
    assert sent[-1]["content"].startswith("What is 5 + 1")
    assert len(talk.messages) == 12


def test_the_same_message_twice_is_two_messages(client, server):
    """What is left out is counted, not looked up."""
    talk = client.conversation(max_input_tokens=40)
    message = Message("user", "My name is Ada, and I have a lot to say.")
    for _ in range(4):
        talk.say(message)
    roles = [one["role"] for one in server.requests[-1].json["messages"]]
    assert roles in (["user"], ["user", "assistant", "user"], ["user", "assistant", "user", "assistant", "user"])


def test_a_summary_is_made_once_for_what_is_left_out(world, client, server):
    """And extended, not made again."""
    made = []

    def summarise(messages, earlier):
        made.append((len(messages), earlier))
        return f"summary {len(made)}"

    talk = client.conversation(max_input_tokens=40, summarise=summarise)
    for number in range(5):
        world(talk, "say", f"What is {number} + 1, in some words more than are needed?")
    assert "Summary of what was said before:\nsummary" in server.requests[-1].json["messages"][0]["content"]
    assert made[0][1] is None
    assert [earlier for _, earlier in made[1:]] == [f"summary {n}" for n in range(1, len(made))]
    assert sum(count for count, _ in made) <= 8


def test_truncate_shortens_the_history_and_keeps_a_branch(client):
    """System, newest turns, calls with their results."""
    talk = client.conversation(
        messages=[Message.user("a" * 400), Message.assistant("b"), Message.user("c"), Message.assistant("d")]
    )
    talk.truncate(20)
    assert texts(talk) == [("user", "c"), ("assistant", "d")]
    assert len(talk.branches[0]) == 4


def test_what_was_said_before_can_be_given(world, client):
    """As messages."""
    talk = client.conversation(messages=[Message.user("My name is Ada."), Message.assistant("Hi Ada.")])
    assert world(talk, "say", "What is my name?").text == "Your name is Ada."
    assert not talk.has_images
    assert isinstance(talk.pending_tool_calls, list)
    assert ToolCall


@pytest.mark.parametrize("status", [404, 403])
def test_an_error_about_the_model_names_others(world, server, status):
    """From the provider's own list."""
    client = server.client("openai/dem", max_retries=0)
    server.fault(status, code="model_not_found", message="The model 'dem' does not exist")
    with pytest.raises(APIError) as caught:
        world(client.conversation(), "say", "Hello")
    assert caught.value.suggested_models == ("demo",)
    assert "Models to try: demo." in caught.value.hint


def test_a_conversation_that_is_too_long_names_larger_models():
    """The smallest that is larger comes first; unknown windows are not guessed."""
    from provider_kit import ContextLengthExceededError, Model
    from provider_kit.catalog.suggest import suggested_models

    known = [Model("small", context_window=8), Model("huge", context_window=99), Model("large", context_window=32)]
    known.append(Model("unknown"))
    error = ContextLengthExceededError("too long")
    assert suggested_models(error, "small", known, own=known[0]) == ("large", "huge")
    assert suggested_models(error, "huge", known, own=known[1]) == ()


def test_every_turn_may_have_a_type(world, client, server):
    """Streamed, resumed, retried and edited ones, too; a conversation has none."""
    talk = client.conversation()
    for _ in range(4):
        server.reply('{"name": "Bob", "age": 7}')
    _, turn = stream(world, talk, "Who?", output_type=Person)
    assert turn.response.parsed == Person("Bob", 7)
    assert world(talk, "retry", output_type=Person).parsed == Person("Bob", 7)
    assert world(talk, "edit", "Who is it?", output_type=Person).parsed == Person("Bob", 7)
    with pytest.raises(InvalidRequestError, match="no output_type of its own"):
        client.conversation(output_type=Person)


def test_nothing_to_resume_is_told(world, client):
    """Instead of a second answer to the same question."""
    talk = client.conversation()
    world(talk, "say", "Hello")
    for method in ("resume", "say"):
        with pytest.raises(InvalidRequestError, match="Nothing waits"):
            world(talk, method)
    assert len(talk.messages) == 2


def test_two_objects_of_one_conversation(world, client, server, tmp_path):
    """Each turn begins with what is stored; of two at once, one is refused before anything is sent."""
    path = tmp_path / "h.db"
    one = client.conversation("ada", store=path, tools=[pay])
    other = client.conversation("ada", store=path, tools=[pay])
    world(one, "say", "My name is Ada.")
    assert world(other, "say", "What is my name?").text == "Your name is Ada."
    assert world(one, "say", "Hello").text
    assert len(client.conversation("ada", store=path).messages) == 6

    server.reply("", tool_calls=[("pay", {"amount": 3})])
    world(one, "say", "Go.")
    assert other.reload() is None
    one.approve()
    with pytest.raises(InvalidRequestError, match="decided already"):
        other.approve(other.pending_tool_calls[0])
    server.reply("done")
    assert world(one, "resume").text == "done"
    with pytest.raises(InvalidRequestError, match="Nothing waits"):
        world(other, "resume")


def test_a_race_of_two_turns_is_lost_by_one_of_them(client, server, tmp_path):
    """It sends nothing, and may be taken again."""
    from provider_kit import ConversationChangedError

    path = tmp_path / "h.db"
    talk = client.conversation("ada", store=path)
    talk.say("Hello")
    count = len(server.requests)
    load = talk._core.store.load

    def load_and_lose(id):
        found = load(id)
        talk._core.store.load = load
        client.conversation("ada", store=path).say("I was first.")
        return found

    talk._core.store.load = load_and_lose
    with pytest.raises(ConversationChangedError):
        talk.say("I was second.")
    assert len(server.requests) == count + 1
    assert talk.say("I was second.").text == "You said: I was second."
    assert [message.text for message in talk.messages if message.role == "user"] == [
        "Hello",
        "I was first.",
        "I was second.",
    ]


def test_an_asynchronous_store_is_read_before_it_is_looked_at(client):
    """Its history cannot be had without awaiting."""
    shelf = Shelf(True)
    shelf.load = _later(shelf.load)
    talk = client.conversation("ada", store=shelf)
    with pytest.raises(InvalidRequestError, match="asynchronous store"):
        talk.messages  # noqa: B018

    async def main():
        await talk.areload()
        return talk.messages

    assert asyncio.run(main()) == []


def _later(function):
    async def later(*args):
        return await function(*args)

    return later


@pytest.mark.parametrize(
    ("store", "said"), [("redis://localhost", "cannot be stored at redis"), ({}, "has no load, save, delete")]
)
def test_what_cannot_store_is_refused_at_once(client, store, said):
    """Not with the first turn."""
    with pytest.raises(InvalidRequestError, match=said):
        client.conversation("ada", store=store)


def test_a_conversation_as_a_database_returns_it():
    """A dict is as good as its text."""
    assert load_conversation({"messages": [{"role": "user", "content": "Hi"}]})[0].text == "Hi"
    assert load_conversation([{"role": "user", "content": "Hi"}])[0].text == "Hi"
