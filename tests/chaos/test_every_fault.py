"""Every way a server can go wrong: the documented error or a right answer, in time, and nothing is left behind."""

import gzip
import time
from email.utils import formatdate

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    APITimeoutError,
    Backoff,
    DeadlineExceededError,
    InvalidResponseError,
    ProviderKitError,
    RateLimitError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.errors import RequestTooLargeError, StreamTimeoutError
from provider_kit.model.config import DEFAULT_MAX_RESPONSE_BYTES, HTTPConfig

#: Seconds for a call that a fault would keep for ever.
SHORT = 0.15
#: Seconds for the others.
LONG = 5.0
#: Seconds by which a call may outlive its deadline on a machine that is busy with other things.
GRACE = 3.0
#: Bytes of one answer; what has no end needs not be long.
BOUND = 1 << 20
#: As many tries as by default, without the waits.
QUICK = Backoff(base=0.001)

#: What may come of a call: an error (or several, where it depends on how much arrives at once), or an answer.
ANSWER = "a right answer"
LOST = (ResponseLostError,)
CUT = (StreamIncompleteError,)
BAD = (InvalidResponseError,)
LATE = (DeadlineExceededError,)
LATE_INSIDE = (StreamTimeoutError,)

FAULTS = {}


class Fault:
    """What a server does, and what comes of a chat and of a stream."""

    def __init__(self, play, chat, stream, *, hangs=False):
        self.play = play
        self.expected = {"chat": chat, "stream": chat if stream is None else stream}
        self.hangs = hangs


def fault(name, chat, stream=None, **options):
    """Add a function of the wire to the table."""

    def add(play):
        assert name not in FAULTS
        FAULTS[name] = Fault(play, chat, stream, **options)
        return play

    return add


# ---------------------------------------------------------------------------------------------- how it ends

#: Where an answer stops, and what a stream that stops there has brought: nothing, its head, content.
PLACES = {
    "before the headers": lambda wire: b"",
    "in the status line": lambda wire: b"HTTP/1.1 2",
    "in the headers": lambda wire: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Hal",
    "after the headers": lambda wire: wire.answer_head,
    "before a body with a length": lambda wire: wire.head("Content-Length: 500"),
    "in a chunk's length": lambda wire: wire.answer_head + b"4",
    "in the first event": lambda wire: wire.answer_head + wire.chunk(wire.beginning[:20]),
    "in the middle": lambda wire: wire.answer_head + wire.chunk(wire.beginning),
    "in the middle of a body with a length": lambda wire: wire.whole()[:-20],
    "in the middle of gzip": lambda wire: (
        wire.head("Content-Length: 5000", "Content-Encoding: gzip") + gzip.compress(wire.answer_body)[:-20]
    ),
    "in a character": lambda wire: wire.answer_head + wire.chunk(wire.beginning + b'data: {"choices": "\xf0\x9f'),
    "before the last chunk": lambda wire: wire.answer_head + wire.chunk(wire.answer_body[:-20]),
}
#: A stream has not begun there: no headers, or those of an answer that comes whole.
NOT_BEGUN = {
    "before the headers",
    "in the status line",
    "in the headers",
    "before a body with a length",
    "in the middle of gzip",
}
WITH_CONTENT = {
    "in the middle",
    "in the middle of a body with a length",
    "in a character",
    "before the last chunk",
}


def end_everywhere():
    """Reset, half-closed or silent: at each place."""
    for place, sent in PLACES.items():

        def reset(wire, sent=sent):
            wire.send(sent(wire))
            wire.reset()

        def half_close(wire, sent=sent):
            wire.send(sent(wire))
            wire.half_close()

        def stall(wire, sent=sent):
            wire.send(sent(wire))
            wire.hold()

        inside = place in WITH_CONTENT
        broken = LOST if place in NOT_BEGUN else CUT
        fault(f"reset {place}", LOST, broken)(reset)
        fault(f"half-closed {place}", LOST, broken)(half_close)
        fault(f"silent {place}", LATE, LATE_INSIDE if inside else LATE, hangs=True)(stall)


end_everywhere()


@fault("only pings", LATE, hangs=True)
def only_pings(wire):
    wire.send(wire.answer_head)
    while True:
        wire.send(wire.chunk(b": ping\n\n"))
        wire.pause(0.01)


@fault("pings in the middle", LATE, LATE_INSIDE, hangs=True)
def pings_in_the_middle(wire):
    wire.send(wire.answer_head, wire.chunk(wire.beginning))
    while True:
        wire.send(wire.chunk(b": ping\n\n"))
        wire.pause(0.01)


@fault("dripping headers", LATE, hangs=True)
def dripping_headers(wire):
    wire.drip(wire.head(*["X-Filler: filler"] * 100) + wire.answer_body)


@fault("a dripping body", LATE, (*LATE, *LATE_INSIDE), hangs=True)
def dripping_body(wire):
    wire.drip(wire.answer_head + wire.chunk(b" " * 200 + wire.answer_body))


@fault("empty chunks of nothing", LATE, hangs=True)
def spaces(wire):
    wire.send(wire.answer_head)
    while True:
        wire.send(wire.chunk(b"\n"))
        wire.pause(0.01)


@fault("no terminal event", BAD, CUT)
def no_terminal_event(wire):
    wire.send(wire.answer_head, wire.chunk(wire.beginning), b"0\r\n\r\n")


@fault("only the head of a stream", BAD, CUT)
def nothing_at_all(wire):
    wire.send(wire.answer_head, b"0\r\n\r\n")


# ---------------------------------------------------------------------------------------------- no HTTP

GARBAGE = {
    "bytes": b"\x00\xff\x13\x37 nothing of this is HTTP \r\n\r\n" * 3,
    "another protocol": b"SSH-2.0-OpenSSH_9.7\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "a page without headers": b"<html><body>Welcome</body></html>\r\n",
    "a body without headers": b'{"choices": []}\r\n\r\n',
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a status of five digits": b"HTTP/1.1 20000 OK\r\nContent-Length: 0\r\n\r\n",
    "a negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
}


def speak_garbage():
    for kind, sent in GARBAGE.items():

        def play(wire, sent=sent):
            wire.send(sent)
            wire.half_close()

        fault(f"garbage: {kind}", LOST)(play)


speak_garbage()


@fault("many headers", LOST)
def many_headers(wire):
    wire.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        wire.send(b"X-Header-%d: some value\r\n" % number)
    wire.send(b"\r\n")


@fault("a huge header", LOST)
def huge_header(wire):
    wire.send(b"HTTP/1.1 200 OK\r\nX-Huge: ", b"x" * (1 << 20), b"\r\n\r\n")


@fault("a huge status line", LOST)
def huge_status_line(wire):
    wire.send(b"HTTP/1.1 200 ", b"O" * (1 << 20), b"\r\n\r\n")


# ---------------------------------------------------------------------------------------------- wrong framing


@fault("a length that is too long", LOST, LOST + CUT + (str,))
def length_too_long(wire):
    body = wire.answer_body
    wire.send(wire.whole(body=body).replace(b"Length: %d" % len(body), b"Length: %d" % (len(body) + 50)))
    wire.half_close()


@fault("a length that is too short", BAD + LOST, CUT + LOST)
def length_too_short(wire):
    body = wire.answer_body
    wire.send(wire.whole(body=body).replace(b"Length: %d" % len(body), b"Length: %d" % (len(body) - 25)))


@fault("a second answer that nobody asked for", ANSWER)
def surplus(wire):
    wire.send(wire.whole() + wire.whole(body=wire.completion("Not yours")))


for _length in ("-1", "-100", "ten", "1e3", "0x10", "1_0", "99999999999999999999999", "5, 7", ""):

    @fault(f"a length of {_length!r}", (*LOST, *BAD, str), (*LOST, *BAD, *CUT, str))
    def strange_length(wire, length=_length):
        wire.send(wire.head(f"Content-Length: {length}", "Connection: close") + wire.answer_body)
        wire.half_close()


CHUNKS = {
    "a length that is no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative length": b"-5\r\n{}\r\n0\r\n\r\n",
    "an empty length": b"\r\n{}\r\n0\r\n\r\n",
    "no end of line": b'5\r\n{"a": 0\r\n\r\n',
    "a length beyond all bounds": b"f" * 40 + b"\r\n{}\r\n",
    "a line without end": b"1" * 200_000,
}


def break_chunks():
    for kind, sent in CHUNKS.items():

        def play(wire, sent=sent):
            wire.send(wire.answer_head, wire.chunk(wire.beginning), sent)
            wire.half_close()

        fault(f"broken chunks: {kind}", LOST, CUT + LOST)(play)


break_chunks()


@fault("both a length and chunks", (*LOST, str))
def two_framings(wire):
    wire.send(wire.answer_head.replace(b"\r\n", b"\r\nContent-Length: 7\r\n", 1))
    wire.send(wire.chunk(wire.answer_body), b"0\r\n\r\n")


# ---------------------------------------------------------------------------------------------- too much


@fault("an endless body", BAD, (StreamError,))
def endless_body(wire):
    wire.send(wire.answer_head)
    data = wire.chunk(wire.beginning + (wire.token("more ") * 200 if wire.streams else b" " * 10_000))
    while True:
        wire.send(data)


@fault("an endless line", BAD)
def endless_line(wire):
    wire.send(wire.answer_head, wire.chunk(b'data: {"'))
    while True:
        wire.send(wire.chunk(b"x" * 10_000))


@fault("a length beyond the bound", BAD)
def long_length(wire):
    wire.send(wire.head(f"Content-Length: {BOUND + 1}"))
    while True:
        wire.send(b" " * 10_000)


BOMB = gzip.compress(b" " * (BOUND * 32))


@fault("a decompression bomb", BAD)
def bomb(wire):
    wire.send(wire.whole("Content-Encoding: gzip", body=BOMB))


@fault("a decompression bomb in chunks", BAD)
def chunked_bomb(wire):
    wire.send(wire.answer_head.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1))
    wire.send(wire.chunk(BOMB), b"0\r\n\r\n")


@fault("a bomb in an error", BAD)
def bomb_in_an_error(wire):
    wire.send(wire.whole("Content-Encoding: gzip", body=BOMB, status="500 Broken"))


@fault("gzip that is none", LOST, CUT)
def no_gzip(wire):
    wire.send(wire.whole("Content-Encoding: gzip"))


@fault("gzip that was cut", BAD, CUT)
def cut_gzip(wire):
    wire.send(wire.whole("Content-Encoding: gzip", body=gzip.compress(wire.answer_body)[:-25]))


# ---------------------------------------------------------------------------------------------- wrong content


@fault("bytes that are no UTF-8", (*BAD, str), (*BAD, *CUT, StreamError, str))
def no_utf8(wire):
    wire.send(wire.whole(body=wire.answer_body.replace(wire.prompt.encode(), b"\xff\xfe\x80 " + wire.prompt.encode())))


@fault("nothing but broken bytes", BAD, (*BAD, *CUT))
def broken_bytes(wire):
    wire.send(wire.whole(body=b"\xff\xfe\x00\x80" * 50))


@fault("a status without content", BAD, (*BAD, *CUT))
def no_content(wire):
    wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")


@fault("early hints", ANSWER)
def early_hints(wire):
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    wire.answer()


@fault("early hints and a reset", LOST)
def early_hints_and_reset(wire):
    wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    wire.reset()


for _status in (301, 302, 303, 307, 308):

    @fault(f"redirect {_status}", BAD)
    def redirect(wire, status=_status):
        host, port = wire.server.elsewhere.getsockname()
        wire.send(wire.whole(f"Location: http://{host}:{port}/v1/chat/completions", status=f"{status} Go", body=b""))


# ---------------------------------------------------------------------------------------------- refused for a while

for _status in (408, 409, 500, 502, 503, 504, 520, 524, 529):

    @fault(f"a burst of {_status}", ANSWER)
    def burst(wire, status=_status):
        if wire.count <= 3:
            wire.refuse(status)
        else:
            wire.answer()


@fault("a burst of everything", ANSWER)
def mixed_burst(wire):
    if wire.count == 1:
        wire.send(b"HTTP/1.1 503 Overloaded\r\nContent-Length: 0\r\n\r\n")
    elif wire.count == 2:
        wire.refuse(429, "Retry-After: 0", "Connection: close")
        wire.half_close()
    elif wire.count == 3:
        wire.send(wire.head("Content-Length: 6", status="502 Bad Gateway", kind="text/html") + b"<html>")
    else:
        wire.answer()


WAITS = {
    "none": (),
    "seconds": ("Retry-After: 0",),
    "a part of a second": ("Retry-After: 0.02",),
    "a date": ("Retry-After: {date}", "Date: {date}"),
    "a date of long ago": ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT",),
    "milliseconds": ("Retry-After-Ms: 20",),
    "milliseconds before seconds": ("Retry-After: 100000", "Retry-After-Ms: 20"),
    "nonsense": ("Retry-After: soon",),
    "a negative number": ("Retry-After: -5",),
    "no number": ("Retry-After: nan",),
    "nothing": ("Retry-After:",),
    "twice": ("Retry-After: 0", "Retry-After: 0"),
    "reset headers": (
        "X-RateLimit-Limit-Requests: 100",
        "X-RateLimit-Remaining-Requests: 0",
        "X-RateLimit-Reset-Requests: 100ms",
    ),
}


def ask_to_wait():
    for form, lines in WAITS.items():

        def play(wire, lines=lines):
            if wire.count > 2:
                wire.answer()
            else:
                wire.refuse(429, *(line.format(date=formatdate(usegmt=True)) for line in lines))

        fault(f"429 with a wait told by {form}", ANSWER)(play)


ask_to_wait()

# ---------------------------------------------------------------------------------------------- the tests


@pytest.fixture(scope="module")
def plays():
    """The faults, by name."""
    return {name: known.play for name, known in FAULTS.items()}


async def ask(world, client, verb, name, **options):
    """Ask for a fault: what came of it, and how many seconds it took."""
    start = time.monotonic()
    try:
        outcome = await world.call(client, verb, f"Say {name}", model=name, **options)
    except ProviderKitError as error:
        outcome = error
    return outcome, time.monotonic() - start


def fits(outcome, name, expected):
    """Whether an outcome is one of those expected of a fault."""
    if isinstance(outcome, ProviderKitError):
        return expected is not ANSWER and isinstance(outcome, tuple(kind for kind in expected if kind is not str))
    return (expected is ANSWER or str in expected) and outcome.text.endswith(f"Say {name}")


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_in_time_and_leaves_nothing_behind(fault_server, client, world, belongings, plays, name, verb):
    """A documented error or a right answer; the same client works on; no connection, thread or task remains."""
    known = FAULTS[name]
    seconds = SHORT if known.hangs else LONG
    server = fault_server(plays)
    made = client(server, retry=QUICK, http=HTTPConfig(max_response_bytes=BOUND))

    async def scenario():
        before = await world.call(made, verb, "Say hello")
        outcome, took = await ask(world, made, verb, name, total_timeout=seconds)
        settled = server.settles(1)  # the one that is kept for the next call
        after = await world.call(made, verb, "Say goodbye", total_timeout=LONG)
        idle = await world.idle()
        await world.close(made)
        return before.text, outcome, took, settled, after.text, idle

    stock = belongings()
    before, outcome, took, settled, after, idle = world.run(scenario())
    assert before == "Say hello"
    assert fits(outcome, name, known.expected[verb]), repr(outcome)
    assert took < seconds + GRACE
    assert after == "Say goodbye"
    assert idle
    assert settled, "the connection of the fault stayed open"
    assert stock.are_back()
    assert server.requests[name] == len(outcome.attempts)
    if isinstance(outcome, ProviderKitError):
        # Only a stream of which the caller has seen nothing is asked for again.
        assert len(outcome.attempts) == (4 if isinstance(outcome, CUT) and not outcome.partial.text else 1)
    assert not server.visited_elsewhere()


def test_every_silence_at_once_ends_by_the_clock_of_its_wait(fault_server, client, world, belongings, plays):
    """Calls that hang in different places do not hold each other up; a good call among them is answered."""
    seconds = 0.6  # dozens of connections are made first
    names = [name for name, known in FAULTS.items() if known.hangs]
    server = fault_server(plays)
    made = client(server, retry=QUICK)

    async def scenario():
        calls = [
            (lambda name=name, verb=verb: ask(world, made, verb, name, timeout=seconds))
            for name in (*names, "good")
            for verb in ("chat", "stream")
        ]
        start = time.monotonic()
        outcomes = await world.all(calls, len(calls))
        took = time.monotonic() - start
        idle = await world.idle()
        await world.close(made)
        return outcomes, took, idle

    stock = belongings()
    outcomes, took, idle = world.run(scenario())
    *hung, chat, stream = [outcome for outcome, _ in outcomes]
    assert len(hung) == 2 * len(names) > 30
    for outcome in hung:
        assert isinstance(outcome, APITimeoutError), repr(outcome)
        assert not isinstance(outcome, DeadlineExceededError)
    assert chat.text == stream.text == "Say good"
    assert took < seconds + GRACE
    assert idle
    assert stock.are_back()
    assert {server.requests[name] for name in names} == {2}


def test_a_storm_of_all_faults_leaves_a_client_that_works(fault_server, client, world, belongings, plays):
    """Hundreds of calls over few connections, each second one with a fault: none disturbs another."""
    # A burst would end for whoever comes last, and a refused key would rest.
    names = [name for name, known in FAULTS.items() if not known.hangs and "burst" not in name and "429" not in name]
    kinds = [(name, verb) for name in names for verb in ("chat", "stream")]
    server = fault_server(plays)
    config = HTTPConfig(max_response_bytes=BOUND, max_connections=8)
    made = client(server, retry=QUICK, http=config, total_timeout=30)

    async def scenario():
        calls = [
            (lambda asked=asked, verb=verb: ask(world, made, verb, asked))
            for name, verb in kinds
            for asked in (name, "good")
        ]
        outcomes = await world.all(calls, 16)
        afterwards = await world.all([lambda: ask(world, made, "chat", "good")] * 16, 16)
        idle = await world.idle()
        await world.close(made)
        return outcomes, afterwards, idle

    stock = belongings()
    outcomes, afterwards, idle = world.run(scenario())
    faulty, good = outcomes[::2], outcomes[1::2]
    for (outcome, _), (name, verb) in zip(faulty, kinds, strict=True):
        assert fits(outcome, name, FAULTS[name].expected[verb]), repr(outcome)
    assert {outcome.text for outcome, _ in good + afterwards} == {"Say good"}
    assert idle
    assert stock.are_back()


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_an_answer_without_end_is_cut_off_at_64_megabytes(fault_server, client, world, plays, verb):
    """By default; a configured bound is what the table above is cut off at."""
    server = fault_server(plays)
    made = client(server)

    async def scenario():
        outcome, _ = await ask(world, made, verb, "an endless line", total_timeout=30)
        await world.close(made)
        return outcome

    outcome = world.run(scenario())
    assert isinstance(outcome, InvalidResponseError)
    assert f"{DEFAULT_MAX_RESPONSE_BYTES:,} bytes" in str(outcome)


@pytest.mark.parametrize("form", ["seconds", "a date", "milliseconds", "reset headers"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_wait_of_a_day_is_told_and_not_waited(fault_server, client, world, belongings, form, verb):
    """The error says how long; until then the key is not used again, and the next call says so without asking."""
    lines = {
        "seconds": ["Retry-After: 86400"],
        "a date": [f"Retry-After: {formatdate(1_800_086_400, usegmt=True)}", f"Date: {formatdate(1_800_000_000)}"],
        "milliseconds": ["Retry-After-Ms: 86400000"],
        "reset headers": ["X-RateLimit-Remaining-Requests: 0", "X-RateLimit-Reset-Requests: 24h0m0s"],
    }[form]
    server = fault_server({"busy": lambda wire: wire.refuse(429, *lines)})
    made = client(server)

    async def scenario():
        first, took = await ask(world, made, verb, "busy")
        second, _ = await ask(world, made, verb, "busy")
        await world.close(made)
        return first, took, second

    stock = belongings()
    first, took, second = world.run(scenario())
    assert isinstance(first, RateLimitError)
    assert first.retry_after == pytest.approx(86400)
    assert took < GRACE
    assert isinstance(second, AllKeysExhaustedError)
    assert second.retry_after == pytest.approx(86400, abs=10)
    assert server.requests["busy"] == 1
    assert stock.are_back()


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("reads_on", [True, False], ids=["reads on", "stops reading"])
def test_a_refusal_in_the_middle_of_a_long_request_is_read(fault_server, client, world, belongings, reads_on, verb):
    """A server need not take all of it to say that it is too large; its words are not lost over the broken sending."""

    def refuse(wire):
        wire.take_some()
        wire.refuse(413, "Connection: close")
        if reads_on:
            wire.half_close()
        else:
            wire.end()

    made = client(fault_server(accept=refuse), retry=QUICK)

    async def scenario():
        outcome, took = await ask(world, made, verb, "x" * 8_000_000, total_timeout=LONG)
        idle = await world.idle()
        await world.close(made)
        return outcome, took, idle

    stock = belongings()
    outcome, took, idle = world.run(scenario())
    assert isinstance(outcome, RequestTooLargeError)
    assert "refused with 413" in str(outcome)
    assert len(outcome.attempts) == 1
    assert took < LONG
    assert idle
    assert stock.are_back()
