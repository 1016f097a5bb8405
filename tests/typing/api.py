"""Checked by mypy, never run: the types that users see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypedDict, assert_type

from provider_kit import (
    AsyncChatStream,
    AsyncConversationStream,
    AsyncRunStream,
    AuthManager,
    AuthStatus,
    Budget,
    Call,
    CallEnded,
    CallNext,
    ChatResponse,
    ChatStream,
    Choices,
    Chunk,
    CircuitBreakerConfig,
    CircuitStatus,
    Client,
    Conversation,
    ConversationStream,
    CredentialMetrics,
    DeviceCode,
    Diagnosis,
    Embeddings,
    EncryptedTokenStorage,
    Event,
    FileTokenStorage,
    Finding,
    FinishReason,
    FunctionTool,
    HealthStatus,
    Hedge,
    Image,
    KeyManager,
    KeyStatus,
    MemoryTokenStorage,
    Message,
    Model,
    OAuthAuthenticator,
    OAuthCredentialSet,
    OAuthKeyManager,
    PartialValue,
    Plugin,
    PluginContext,
    Provider,
    ProviderConfig,
    ProviderFactory,
    ProviderKitError,
    Race,
    RateLimitConfig,
    RateLimiter,
    RateLimits,
    Reasoning,
    RefreshStrategy,
    Reply,
    ResponseCache,
    Router,
    RouteRequest,
    Routing,
    RunResult,
    RunStream,
    Step,
    StreamError,
    Target,
    TargetState,
    TestResult,
    Timeout,
    TokenInfo,
    TokenStorage,
    Tool,
    ToolCall,
    ToolContext,
    Usage,
    UsageLedger,
    approve,
    correlation,
    debug_report,
    error_type,
    load_config,
    oauth_config,
    register_provider,
    sink,
    tool,
)


def blocking(client: Client) -> None:
    answer = client.chat("Hello", system="Be brief.", max_tokens=10, stop=["a"], reasoning="low", timeout=3)
    assert_type(answer, ChatResponse[None])
    assert_type(answer.text, str)
    assert_type(answer.usage, Usage)
    assert_type(answer.usage.input_tokens, int | None)
    assert_type(answer.finish_reason, FinishReason)
    assert_type(answer.tool_calls, list[ToolCall])
    assert_type(answer.tool_calls[0].arguments, dict[str, Any])
    assert_type(answer.cost, Decimal | None)
    assert_type(answer.message, Message)
    stream = client.stream([{"role": "user", "content": "Hello"}, answer.message], tools=[Tool("add")])
    assert_type(stream, ChatStream[None])
    assert_type(iter(stream), Iterator[Chunk])
    for chunk in stream:
        assert_type(chunk, Chunk)
        assert_type(chunk.text, str)
    assert_type(stream.response, ChatResponse[None])
    assert_type(client.models(), list[Model])
    assert_type(client.embed(["a"]), Embeddings)
    assert_type(client.count_tokens("a"), int)
    assert_type(client.health_check(), HealthStatus)
    with client as same:
        assert_type(same, Client)


async def awaited(client: Client) -> None:
    assert_type(await client.achat(Message.user("Hello", Image(url="https://example.org/a.png"))), ChatResponse[None])
    stream = client.astream("Hello", timeout=Timeout(idle=3), reasoning=Reasoning("low"))
    assert_type(stream, AsyncChatStream[None])
    assert_type(stream.__aiter__(), AsyncIterator[Chunk])
    async for chunk in stream:
        assert_type(chunk.text, str)
    assert_type(await client.amodels(), list[Model])
    assert_type(await client.aembed("a"), Embeddings)
    assert_type(await client.acount_tokens("a"), int)
    assert_type(await client.ahealth_check(), HealthStatus)
    async with client as same:
        assert_type(same, Client)


def configuration() -> None:
    config = ProviderConfig(type="openai", api_keys=("a", "b"), default_model="x")
    assert_type(Client(config), Client)
    assert_type(register_provider(Provider(name="acme", base_url="https://api.example.org/v1")), Provider)
    try:
        pass
    except StreamError as error:
        assert_type(error.status_code, int | None)
    except ProviderKitError as error:
        assert_type(error.hint, str | None)
        assert_type(error.retryable, bool)


def reliability() -> None:
    def policy(error: ProviderKitError, attempt: int) -> float | None:
        return None

    def listen(event: Event) -> None:
        assert_type(event.error, ProviderKitError | None)

    client = Client(
        "openai",
        api_keys={"a": 2, "b": 1},
        retry=policy,
        rate_limit=RateLimitConfig(requests_per_minute=60),
        circuit_breaker=CircuitBreakerConfig(),
        response_cache=ResponseCache(ttl=60),
        on_event=listen,
    )
    assert_type(client.rate_limits, RateLimits)
    assert_type(client.circuit, CircuitStatus | None)
    assert_type(client.keys.status(), list[KeyStatus])
    manager = KeyManager("openai", ["a", "b"])
    assert_type(manager.execute_with_failover(len), int)
    assert_type(Client("openai", api_keys=manager, retry="aggressive"), Client)
    assert_type(RateLimiter(3).try_acquire(), bool)


def logins(device: DeviceCode) -> None:
    authenticator = OAuthAuthenticator("gemini", FileTokenStorage(".tokens.json"), oauth_config("gemini"))
    assert_type(authenticator.get_token(), str)
    assert_type(authenticator.login(["a"], timeout=60), TokenInfo)
    assert_type(authenticator.get_token_info(), TokenInfo | None)
    assert_type(authenticator.start_device_flow(), DeviceCode)
    assert_type(authenticator.poll_for_token(device), TokenInfo)
    assert_type(authenticator.logout(), bool)
    client = Client("gemini", auth=authenticator)
    assert_type(client.with_options(token="a"), Client)
    assert_type(Client("openai", auth="oauth"), Client)

    def save(id: str, access: str, refresh: str | None, expires: float | None) -> None:
        pass

    async def save_later(id: str, access: str, refresh: str | None, expires: float | None) -> None:
        pass

    manager = OAuthKeyManager(
        "gemini",
        [
            OAuthCredentialSet(id="a", refresh_token="r", on_token_refresh=save),
            OAuthCredentialSet(id="b", refresh_token="r", on_token_refresh=save_later),
        ],
        refresh_strategy=RefreshStrategy.adaptive(),
    )
    assert_type(manager.execute_with_failover(len), int)
    assert_type(manager.get_metrics(), dict[str, CredentialMetrics])
    assert_type(Client("gemini", auth=manager), Client)
    storage: TokenStorage = EncryptedTokenStorage(MemoryTokenStorage(), key="k")
    assert_type(AuthManager(storage).status(), dict[str, AuthStatus])


async def awaited_logins(authenticator: OAuthAuthenticator) -> None:
    assert_type(await authenticator.aget_token(), str)
    assert_type(await authenticator.alogin(), TokenInfo)


def configuration_files() -> None:
    clients = load_config("config.yaml")
    assert_type(clients["openai"], Client | Router)
    assert_type(clients.default, Client | Router)
    assert_type(clients.route("usual"), Router)
    assert_type(Client.from_config("openai", timeout=3), Client)
    assert_type(ProviderFactory().create("openai", api_key="k"), Client)


async def the_doctor(client: Client) -> None:
    assert_type(client.diagnose(), Diagnosis)
    assert_type(await client.adiagnose(timeout=5, calls=0), Diagnosis)
    assert_type(client.diagnose().find("tls"), Finding | None)


def wrong_options_are_seen(client: Client) -> None:
    client.chat("Hello", temprature=1)  # type: ignore[call-overload]
    client.chat("Hello", temperature="hot")  # type: ignore[call-overload]
    client.chat(3)  # type: ignore[call-overload]


@dataclass
class Person:
    name: str
    age: int


@dataclass
class Pet:
    name: str


class Movie(TypedDict):
    title: str


def take_either(answer: ChatResponse[Person | Pet]) -> None:
    assert_type(answer.parsed, Person | Pet)


def take_any(answer: ChatResponse) -> None:
    assert_type(answer.parsed, Any)


def typed_answers(client: Client) -> None:
    assert_type(client.chat("x", output_type=Person), ChatResponse[Person])
    assert_type(client.chat("x", output_type=Person).parsed, Person)
    assert_type(client.chat("x", output_type=list[Person], temperature=0).parsed, list[Person])
    assert_type(client.chat("x", output_type=Literal["a", "b"]).parsed, Literal["a", "b"])
    assert_type(client.chat("x", output_type=Person | Pet).parsed, Person | Pet)
    assert_type(client.chat("x", output_type=Person | None, validation_retries=2).parsed, Person | None)
    assert_type(client.chat("x", output_type=Movie).parsed, Movie)
    assert_type(client.chat("x", output_type=dict[str, int]).parsed, dict[str, int])
    assert_type(client.chat("x", output_type=tuple[int, str]).parsed, tuple[int, str])
    assert_type(client.chat("x").parsed, None)
    take_either(client.chat("x", output_type=Person))  # it is covariant
    take_any(client.chat("x", output_type=Person))
    stream = client.stream("x", output_type=list[Person])
    assert_type(stream, ChatStream[list[Person]])
    for partial in stream.partials():
        assert_type(partial, PartialValue)
    for person in stream.items():
        assert_type(person, Person)
    assert_type(stream.response.parsed, list[Person])


async def typed_answers_later(client: Client) -> None:
    assert_type((await client.achat("x", output_type=Person)).parsed, Person)
    stream = client.astream("x", output_type=list[Person])
    async for person in stream.items():
        assert_type(person, Person)
    assert_type((await client.arun("x", output_type=Person | Pet)).parsed, Person | Pet)
    assert_type(client.astream_run("x"), AsyncRunStream[None])
    async for reply in client.amap(["x"], output_type=Person):
        assert_type(reply, ChatResponse[Person])
    assert_type(await client.conversation().asay("x"), RunResult[None])
    assert_type(client.conversation().astream("x"), AsyncConversationStream[None])


def runs(client: Client) -> None:
    def weather(city: str, context: ToolContext[int]) -> str:
        assert_type(context.deps, int)
        return city

    @tool
    def plain(city: str) -> str:
        return city

    @tool(requires_approval=True)
    def asked(city: str) -> str:
        return city

    assert_type(plain, FunctionTool)
    assert_type(asked, FunctionTool)
    result = client.run("x", tools=[weather, plain], deps=3, budget=Budget(tokens=5), max_steps=3)
    assert_type(result, RunResult[None])
    assert_type(result.messages, list[Message])
    assert_type(result.steps, list[Step])
    assert_type(result.pending, tuple[ToolCall, ...])
    assert_type(client.run("x", output_type=Person).parsed, Person)
    assert_type(client.step("x"), RunResult[None])
    assert_type(client.stream_run("x", output_type=Person), RunStream[Person])
    client.run(result.messages, decisions={"1": approve()})
    talk = client.conversation("id", system="Be brief.", tools=[plain])
    assert_type(talk, Conversation)
    assert_type(talk.say("x"), RunResult[None])
    assert_type(talk.say("x", output_type=list[Person]).parsed, list[Person])
    assert_type(talk.stream("x"), ConversationStream[None])
    assert_type(talk.edit("x"), RunResult[None])
    talk.edit("id", {"amount": 1})
    for reply in client.map(["x"], output_type=Person):
        assert_type(reply.parsed, Person)
    for either in client.map(["x"], on_error="return"):
        assert_type(either, ChatResponse[None] | ProviderKitError)


def mistakes_are_seen(client: Client) -> None:
    number: int = client.chat("x", output_type=Person).parsed  # type: ignore[assignment]
    print(client.chat("x", output_type=Person).parsed.nmae)  # type: ignore[attr-defined]
    client.chat("x", validation_retries=2)  # type: ignore[call-overload]
    client.chat("x", output_type=3)  # type: ignore[call-overload]
    client.chat("x", max_steps=3)  # type: ignore[call-overload]
    client.run("x", budget=5)  # type: ignore[call-overload]
    client.run("x", max_step=3)  # type: ignore[call-overload]
    client.map(["x"], on_error="ignore")  # type: ignore[call-overload]
    client.conversation("x", systm="y")  # type: ignore[call-arg]
    print(client.chat("x").parsed.name)  # type: ignore[attr-defined]
    del number


def longest_name(now: float, request: RouteRequest, state: Choices) -> list[TargetState]:
    return sorted(state.targets, key=lambda target: -len(target.name))


def routers() -> None:
    router = Router(["openai/gpt-5-mini", Target("anthropic/claude-haiku-4-5", weight=2)], strategy="latency")
    reply = router.chat("Hello", fallback=False)
    assert_type(reply, ChatResponse[None])
    assert_type(reply.routing, Routing | None)
    assert_type(router.chat("Hello", output_type=int).parsed, int)
    Router([router, Client("demo")], Hedge(after="p95", budget=0.05))
    Router(["demo/echo"], Race(judge=lambda answer: len(answer.text)))
    Router(["demo/echo"], longest_name)
    assert_type(router.test_connection(), TestResult)
    assert_type(router.metrics.request_count, int)
    assert_type(Client("demo").rate_limits.can_make_request("gpt-5-mini", 100), bool)


async def polite(call: Call, call_next: CallNext) -> Reply:
    reply = await call_next(call.replace(tags=("polite",)))
    reply.on_end(lambda end: print(end.how))
    reply.map(lambda chunk: [chunk], answer=lambda answer: answer)
    return reply


class Shout(Plugin):
    name = "shout"

    def pre_request(self, context: PluginContext) -> None:
        context.request = context.request.replace(max_tokens=3)

    async def post_response(self, context: PluginContext, response: ChatResponse) -> None:
        print(context.config, response.text)


@sink(CallEnded)
def note(event: CallEnded) -> None:
    assert_type(event.usage, Usage | None)
    assert_type(event.outcome, Literal["success", "error", "cancelled"])


def observing() -> None:
    client = Client("demo", middleware=[polite], plugins=[Shout(), UsageLedger("usage.db")], on_event=note)
    client.middleware.add_before(polite, polite)
    assert_type(client.metrics.latency.p95, float | None)
    assert_type(client.metrics.snapshot().by_model["x"].cost, Decimal)
    assert_type(UsageLedger().sums("day")[0].tokens, int)
    assert_type(error_type(ValueError()), str)
    assert_type(debug_report().waiting, int)
    client.chat("x", tags=["a"], correlation_id="b", middleware=[polite], extension_config={"shout": {}})
    with correlation("id") as id:
        assert_type(id, str)
