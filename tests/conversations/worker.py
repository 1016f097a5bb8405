"""A program that is killed: it goes on with its conversation wherever it was, and says when it is done.

Each tool call appends its number to a file, which stands for the outside world.
"""

import os
import sys
import threading
import time

from provider_kit import Client, SQLiteHistory, SQLiteLedger, answer

path, effects, kill_after = sys.argv[1], sys.argv[2], float(sys.argv[3])


def act(number: int) -> str:
    """Act on the world."""
    with open(effects, "a", encoding="utf-8") as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    return f"acted {number}"


def die():
    time.sleep(kill_after)
    os.kill(os.getpid(), 9)


def main():
    from provider_kit.dialects.replies import Reply
    from provider_kit.dialects.servers import SERVER_DIALECTS
    from provider_kit.model.json_text import loads
    from provider_kit.transports.scripted import ScriptedTransport

    dialect = SERVER_DIALECTS["openai_chat"]

    def respond(request):
        asked = dialect.read(loads(request.body), request.url)
        done = sum(role == "tool" for role, _ in asked.turns)
        if done >= 6:
            return {"json": dialect.whole(Reply("all done"), asked)}
        calls = [{"name": "act", "arguments": {"number": n}, "id": f"call_{n}"} for n in (done, done + 1)]
        return {"json": dialect.whole(Reply(tool_calls=calls), asked)}

    client = Client(
        "openai_compatible/x", base_url="http://127.0.0.1/v1", transport=ScriptedTransport([respond], repeat=True)
    )
    history = SQLiteHistory(path)
    talk = client.conversation("job", store=history, tools=[act], ledger=SQLiteLedger(history, scope="job"))
    if kill_after >= 0:
        threading.Thread(target=die, daemon=True).start()
    if talk.messages and talk.messages[-1].text == "all done":  # killed after the last answer was stored
        print("finished", len(talk.messages))
        return
    result = talk.resume() if talk.messages else talk.say("Go.")
    while result.stopped_by != "answer":
        # The outcome of these is not known: a person looks, and says so.
        for call in result.unknown_outcome:
            talk.answer(call, "checked by hand")
        result = talk.resume()
    print("finished", len(talk.messages))


main()
assert answer
