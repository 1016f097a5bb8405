"""Turns that meet, fail or are left: none waits for itself, and what was there before comes back."""

import asyncio
import concurrent.futures
import json
import os
import sqlite3
import threading

import attrs
import pytest

from provider_kit import Conversation, InternalServerError, InvalidRequestError, SQLiteHistory, answer, tool


@pytest.fixture
def impatient(monkeypatch):
    """A turn that waits for itself is told so at once."""
    monkeypatch.setattr("provider_kit.conversations.turns._LONGEST_WAIT_FOR_ONESELF", 0.1)


@tool(requires_approval=True)
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


class LaterStore:
    """A store that is awaited."""

    def __init__(self):
        self.documents = {}

    async def load(self, conversation_id):
        return self.documents.get(conversation_id)

    async def save(self, conversation_id, document):
        self.documents[conversation_id] = json.loads(json.dumps(document))

    async def delete(self, conversation_id):
        self.documents.pop(conversation_id, None)


@pytest.mark.parametrize("read", ["chunks", "events", "text"])
def test_leaving_a_stream_that_is_kept_ends_its_turn(client, server, read):
    """The next turn does not wait for a stream that nobody reads any more."""
    talk = client.conversation()
    server.reply("one two three four")
    turn = talk.stream("Count.")
    for _ in turn if read == "chunks" else getattr(turn, read)():
        break
    assert talk.messages[-1].incomplete
    assert talk.say("And now?", timeout=5).text


@pytest.mark.parametrize("read", ["chunks", "events", "text"])
def test_a_stream_that_was_left_in_asyncio_ends_too(client, server, read):
    """As soon as it is closed."""
    server.reply("one two three four")

    async def main():
        talk = client.conversation()
        turn = talk.astream("Count.")
        async for _ in turn if read == "chunks" else getattr(turn, read)():
            break
        await turn.aclose()
        return (await asyncio.wait_for(talk.asay("And now?"), 5)).text

    assert asyncio.run(main())


def test_a_turn_inside_a_turn_is_an_error(world, client, server, impatient):
    """It would wait for itself; also from a tool in another thread."""
    talk = None

    def note(text: str) -> str:
        """Say something in the same conversation."""
        return world(talk, "say", text).text

    talk = client.conversation(tools=[note], max_steps=3)
    server.reply("", tool_calls=[("note", {"text": "a"})])
    server.reply("done")
    if world.name == "blocking":
        reply = world(talk, "say", "Hello")
        assert isinstance(reply.steps[0].outcomes[0].error, InvalidRequestError)
        assert "still going on" in str(reply.steps[0].outcomes[0].error)

    async def later(text: str) -> str:
        """Say something in the same conversation."""
        return (await talk.asay(text)).text

    talk = client.conversation(tools=[later])
    server.reset()
    server.reply("", tool_calls=[("later", {"text": "a"})])
    server.reply("done")
    reply = asyncio.run(talk.asay("Hello"))
    assert "still going on" in str(reply.steps[0].outcomes[0].error)


@pytest.mark.timeout(30)
def test_tools_in_threads_of_their_own_are_told_too(world, client, server, impatient):
    """Neither their thread nor their task is the one of the turn."""

    def note(text: str) -> str:
        """Say something in the same conversation."""
        return talk.say(text).text

    talk = client.conversation(tools=[note])
    server.reply("", tool_calls=[("note", {"text": "a"}), ("note", {"text": "b"})])
    server.reply("done")
    reply = world(talk, "say", "Hello")
    assert reply.text == "done"
    assert ["still going on" in str(one.error) for one in reply.steps[0].outcomes] == [True, True]


def test_saying_something_while_reading_is_an_error(client, server, impatient):
    """In one thread, or one task."""
    talk = client.conversation()
    server.reply("one two three")
    with talk.stream("Count.") as turn:
        chunks = iter(turn)
        next(chunks)
        with pytest.raises(InvalidRequestError, match="still going on"):
            talk.say("And now?")

    async def main():
        other = client.conversation()
        async with other.astream("Hello") as turn:
            async for _ in turn:
                with pytest.raises(InvalidRequestError, match="still going on"):
                    await other.asay("And now?")
                break

    asyncio.run(main())


@pytest.mark.parametrize("read", ["chunks", "events", "text"])
def test_the_next_turn_waits_for_a_stream_that_was_left_a_moment_ago(client, server, read):
    """Python ends the generator in another task, a little later."""
    server.reply("one two three")
    server.reply("second")

    async def main():
        talk = client.conversation()
        turn = talk.astream("Count.")
        async for _ in turn if read == "chunks" else getattr(turn, read)():
            break
        reply = await talk.asay("And now?")
        return reply.text, [message.incomplete for message in talk.messages]

    assert asyncio.run(main()) == ("second", [False, True, False, False])


def test_a_stream_that_was_left_is_not_read_on_unseen(client, server):
    """It says so, and how to read on."""
    talk = client.conversation()
    turn = talk.stream("Count.")
    for _ in turn:
        break
    with pytest.raises(InvalidRequestError, match="was left"):
        list(turn)
    pieces = iter(talk.stream("Count again."))
    next(pieces)
    assert list(pieces)


def test_a_stream_read_in_threads_of_a_pool(client, server):
    """As web frameworks do; turns of the same threads wait for its end."""
    talk = client.conversation()
    server.always(latency=0.05)
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pieces = iter(talk.stream("Count."))
            pool.submit(next, pieces).result(10)
            others = [pool.submit(talk.say, f"What is {number} + 1?") for number in range(1)]
            for _ in pieces:
                pass
            assert [other.result(10).text for other in others] == ["0 + 1 = 1"]
    finally:
        server.always()


def test_what_a_tool_starts_for_later_may_say_something(client, server):
    """After the turn, in a task that has the tool's context."""
    later = []

    async def remind() -> str:
        """Remind me later."""

        async def go():
            await ended.wait()
            return (await talk.asay("The reminder.")).text

        later.append(asyncio.create_task(go()))
        return "ok"

    talk = client.conversation(tools=[remind])
    server.reply("", tool_calls=[("remind", {})])
    server.reply("done")
    server.reply("reminded")
    ended = None

    async def main():
        nonlocal ended
        ended = asyncio.Event()
        await talk.asay("Remind me.")
        ended.set()
        return await later[0]

    assert asyncio.run(main()) == "reminded"


def test_retries_wait_for_their_turn(client, server):
    """As any other; and reading the store anew does not disturb a turn."""
    store = LaterStore()

    async def main():
        talk = client.conversation("it", store=store)
        await talk.asay("My name is Ada.")
        replies = await asyncio.gather(talk.asay("What is my name?"), talk.aretry(), talk.areload())
        return [reply.text for reply in replies[:2]], [message.role for message in talk.messages]

    assert asyncio.run(main()) == (["Your name is Ada."] * 2, ["user", "assistant"] * 2)


def test_tools_of_a_turn_may_be_approved(client, server):
    """The conversation does not know them; resume() gets them again."""
    talk = client.conversation()
    server.reply("", tool_calls=[("pay", {"amount": 3})])
    server.reply("done")
    talk.say("Pay.", tools=[pay])
    talk.approve()
    assert talk.resume(tools=[pay]).text == "done"


def test_approving_everything_leaves_what_somebody_must_answer(client, server):
    """All calls that can run, or an error."""
    from provider_kit import Tool

    ask = Tool("ask_human", "Ask.", {"type": "object", "properties": {}})
    talk = client.conversation(tools=[pay, ask])
    server.reply("", tool_calls=[("pay", {"amount": 3}), ("ask_human", {})])
    talk.say("Pay.")
    talk.approve()
    with pytest.raises(InvalidRequestError, match="'ask_human' has no function"):
        talk.approve()
    talk.answer(talk.pending_tool_calls[-1], "yes")
    server.reply("done")
    assert talk.resume().text == "done"


def test_leaving_before_the_tools_ran_leaves_no_open_call(world, client, server):
    """The text stays, marked as incomplete; the next turn goes on."""

    def act() -> str:
        """Act."""
        return "acted"

    talk = client.conversation(tools=[act])
    server.reply("let me see", tool_calls=[("act", {})])
    if world.name == "blocking":
        for event in talk.stream("Go.").events():
            if type(event).__name__ == "ToolStarted":
                break
    else:

        async def main():
            events = talk.astream("Go.").events()
            async for event in events:
                if type(event).__name__ == "ToolStarted":
                    break
            await events.aclose()

        asyncio.run(main())
    assert [(message.role, message.text, message.incomplete) for message in talk.messages] == [
        ("user", "Go.", False),
        ("assistant", "let me see", True),
    ]
    assert not talk.pending_tool_calls
    assert world(talk, "say", "Never mind.").text


def test_a_turn_that_was_cancelled_while_it_was_stored(client, server, tmp_path):
    """Its question may be in the store, and is taken back."""
    path = tmp_path / "talks.db"

    async def main():
        talk = client.conversation("it", store=path)
        await talk.asay("My name is Ada.")
        before = SQLiteHistory(path).load("it")["revision"]
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            async with asyncio.timeout(0.1):
                await talk.asay("What is my name?")
        except TimeoutError:
            pass
        other.execute("COMMIT")
        other.close()
        end = asyncio.get_running_loop().time() + 10
        while SQLiteHistory(path).load("it")["revision"] == before and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        await talk.asay("What is my name?")
        return [message.text for message in talk.messages]

    assert asyncio.run(main()) == [
        "My name is Ada.",
        "Nice to meet you, Ada!",
        "What is my name?",
        "Your name is Ada.",
    ]


def test_decisions_reach_an_asynchronous_store(client, server):
    """When they are told to."""
    store = LaterStore()

    async def main():
        talk = client.conversation("it", store=store, tools=[pay])
        server.reply("", tool_calls=[("pay", {"amount": 3})])
        await talk.asay("Pay.")
        talk.approve()
        await talk.astore()
        server.reply("done")
        return (await client.conversation("it", store=store, tools=[pay]).aresume()).text

    assert asyncio.run(main()) == "done"


def test_a_backup_takes_the_place_of_what_is_stored(client, tmp_path):
    """It was asked for."""
    talk = client.conversation("it", store=tmp_path / "talks.db")
    talk.say("My name is Ada.")
    talk.save(tmp_path / "backup.json")
    talk.say("My name is Bob.")
    again = Conversation.load(tmp_path / "backup.json", client, id="it", store=tmp_path / "talks.db")
    assert again.say("What is my name?").text == "Your name is Ada."
    assert len(client.conversation("it", store=tmp_path / "talks.db").messages) == 4


def test_a_new_system_prompt_is_stored(client, server, tmp_path):
    """And sent."""
    talk = client.conversation("it", store=tmp_path / "talks.db", system="Be brief.")
    talk.say("Hello")
    other = client.conversation("it", store=tmp_path / "talks.db")
    other.say("Hello again")
    talk.system = "Be polite."
    assert client.conversation("it", store=tmp_path / "talks.db").system == "Be polite."
    talk.say("And now?")
    assert server.requests[-1].json["messages"][0]["content"] == "Be polite."


def test_a_correction_that_fails_is_not_remembered(world, client, server):
    """Neither the wrong answer nor what was said to it."""
    talk = client.conversation()
    server.fault(latency=0)
    server.fault(500)
    server.reply("no JSON")
    with pytest.raises(InternalServerError):
        world(talk, "say", "How many?", output_type=int)
    assert talk.messages == []


def test_numbers_of_threads_are_used_again(client):
    """A thread that has ended is not taken for the one whose turn it is."""
    talk = client.conversation()
    failed = []

    def say():
        try:
            talk.say("Hello")
        except InvalidRequestError as error:
            failed.append(error)

    for _ in range(10):
        threads = [threading.Thread(target=say) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert failed == []
    assert len(talk.messages) == 120


def test_nothing_is_changed_during_a_turn(client, server):
    """The end of the turn would overwrite it."""
    talk = client.conversation()
    talk.say("Hello")
    server.reply("one two three")
    with talk.stream("Count.") as turn:
        chunks = iter(turn)
        next(chunks)
        with pytest.raises(InvalidRequestError, match="A turn of this conversation is going on"):
            talk.undo()
        with pytest.raises(InvalidRequestError, match="A turn of this conversation is going on"):
            talk.truncate(max_tokens=10)
    assert talk.undo()


@pytest.mark.parametrize("verb", ["retry", "edit"])
def test_another_try_that_fails_leaves_what_was_there(world, client, server, tmp_path, verb):
    """Also in the store, without a branch of nothing."""
    talk = client.conversation("it", store=tmp_path / "talks.db")
    world(talk, "say", "My name is Ada.")
    before = talk.messages
    server.fault(500)
    with pytest.raises(InternalServerError):
        world(talk, verb, *(["My name is Bob."] if verb == "edit" else []))
    assert talk.messages == before
    assert not talk.branches
    assert client.conversation("it", store=tmp_path / "talks.db").messages == before
    assert world(talk, verb, *(["My name is Bob."] if verb == "edit" else [])).text
    assert len(talk.branches) == 1


def test_a_decision_that_was_used_is_gone_also_when_the_turn_fails(world, client, server):
    """The call has run, and its approval is no approval of another call with the same id."""
    talk = client.conversation(tools=[pay])
    server.reply("", tool_calls=[("pay", {"amount": 3})])
    world(talk, "say", "Pay.")
    talk.approve()
    server.fault(500)
    with pytest.raises(InternalServerError):
        world(talk, "resume")
    assert not talk.pending_tool_calls
    assert "decisions" not in json.loads(talk.to_json()) or not json.loads(talk.to_json())["decisions"]
    server.reply("done")
    assert world(talk, "resume").text == "done"


@attrs.define
class Receipt:
    number: int


def test_a_decision_is_checked_when_it_is_made(client, server):
    """Not when the turn is taken, perhaps tomorrow."""
    talk = client.conversation(tools=[pay])
    server.reply("", tool_calls=[("pay", {"amount": 3})])
    talk.say("Pay.")
    (call,) = talk.pending_tool_calls
    with pytest.raises(InvalidRequestError, match="edited arguments of 'pay'"):
        talk.edit(call, {"amount": "much"})
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        talk.answer(call, object())
    talk.answer(call, Receipt(7))
    assert json.loads(talk.to_json())["decisions"][call.id]["value"] == {"number": 7}
    server.reply("done")
    assert talk.resume().text == "done"
    assert '{"number":7}' in str(server.requests[-1].json).replace(" ", "")


def test_a_tool_without_a_function_is_not_approved(client, server):
    """It is answered."""
    from provider_kit import Tool

    talk = client.conversation(tools=[Tool("ask_human", "Ask.", {"type": "object", "properties": {}})])
    server.reply("", tool_calls=[("ask_human", {})])
    talk.say("Ask.")
    with pytest.raises(InvalidRequestError, match="no function that could run"):
        talk.approve()
    server.reply("done")
    assert talk.resume(decisions={talk.pending_tool_calls[0].id: answer("yes")}).text == "done"


def test_corrections_of_a_typed_answer_are_not_remembered(world, client, server):
    """They belong to the turn; the history has the question and the answer."""
    talk = client.conversation()
    server.reply("no JSON")
    server.reply('{"value": 3}')
    assert world(talk, "say", "How many?", output_type=int).parsed == 3
    assert [(message.role, message.text) for message in talk.messages] == [
        ("user", "How many?"),
        ("assistant", '{"value": 3}'),
    ]


def test_an_awaited_store_with_every_verb(client, server):
    """A fresh object reads it first; also before it asks again."""
    store = LaterStore()

    async def main():
        talk = client.conversation("it", store=store)
        await talk.asay("My name is Ada.")
        again = client.conversation("it", store=store)
        assert (await again.aretry()).text == "Nice to meet you, Ada!"
        third = client.conversation("it", store=store)
        assert (await third.aedit("My name is Bob.")).text == "Nice to meet you, Bob!"
        await third.adelete()
        assert store.documents == {}

    asyncio.run(main())


@pytest.mark.parametrize(
    "document",
    [
        '{"messages": [], "decisions": {"x": "approve"}}',
        '{"messages": [], "summarised": "abc"}',
        '{"messages": [], "branches": [1]}',
        '{"messages": [], "revision": "x"}',
    ],
)
def test_a_malformed_document_is_named(client, document):
    """With the error for wrong requests, not with one of Python."""
    with pytest.raises(InvalidRequestError, match="malformed"):
        Conversation.from_json(document, client)


def test_what_was_loaded_has_its_messages(client, tmp_path):
    """More of them would be lost, or stand in the wrong place."""
    talk = client.conversation()
    talk.say("Hello")
    talk.save(tmp_path / "talk.json")
    with pytest.raises(InvalidRequestError, match="has its messages"):
        Conversation.load(tmp_path / "talk.json", client, messages="earlier")
    (tmp_path / "talk.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InvalidRequestError, match="not UTF-8"):
        Conversation.load(tmp_path / "talk.json", client)


def test_threads_that_save_at_once_do_not_take_each_others_file(client, tmp_path):
    """Each writes one of its own, with the rights of its owner, and nothing is left beside."""
    talk = client.conversation(messages=["x" * 100_000])
    failed = []

    def save():
        for _ in range(20):
            try:
                talk.save(tmp_path / "talk.json")
            except OSError as error:
                failed.append(error)

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert os.listdir(tmp_path) == ["talk.json"]
    if os.name == "posix":
        assert (tmp_path / "talk.json").stat().st_mode & 0o777 == 0o600
    assert Conversation.load(tmp_path / "talk.json", client).messages == talk.messages
