"""What other libraries call things, and what to write here: one table of arguments and one of attributes.

Nothing of it is an alias. A name that means something else here, or nothing, is refused with the word to use instead,
before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

__all__ = [
    "ARGUMENTS",
    "ATTRIBUTES",
    "Elsewhere",
    "NotHere",
    "below",
    "instead_of_argument",
    "missing_attribute",
    "snake_case",
]

_TYPED = "It is called output_type here: output_type=Person; the value is reply.parsed."
_SYSTEM = "The system prompt is system='…'."
_MESSAGES = "The conversation is the first argument: a text, a message, or a list of messages."
_FILES = "Pictures, documents and sound are files=['photo.png']: paths, bytes, URLs or open files."
_REASONING = "Reasoning is reasoning='high': an effort from none to max, or a number of tokens."
_SETTINGS = "Pass each setting by its own name: temperature=0.2, max_tokens=500."
_CALLS = "It is called tools here: tools=[function]; client.run(…) calls them."
_CHOICE = "Which tool is called is tool_choice='auto', 'required', 'none' or a tool's name."
_STREAM = "Call client.stream(…), or client.astream(…) in asyncio, to read an answer while it is written."
_CLIENT_URL = "The address is an argument of the client: Client(base_url='http://…/v1', model='…')."
#: What others call the key.
_KEYS = ("key", "apikey", "api_key", "openai_api_key", "anthropic_api_key", "google_api_key")
_KEY = "A key is an argument of the client: Client('…', api_key=…), or client.with_options(api_key=…) for one user."
_RETRIES = "Attempts after the first one: Client('…', max_retries=…); of typed answers validation_retries=."
_SECONDS = "Seconds are timeout=, for each attempt, and total_timeout=, for all of it."
_ROUTER = "Several providers are a router: Router(['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5']).chat(…)."
_STORED = "A conversation that is kept has an id: client.conversation('ada').say('…')."
_PROXY = "Proxies and certificates are http=HTTPConfig(proxy='http://…', verify='ca.pem') of the client."
_SESSION = "Your own connections are session= (requests) and async_session= (aiohttp) of the client."
_EVENTS = "What happens is told to on_event= of the client, a function; middleware= is put around calls."
_BODY = "Fields only your provider knows go into extra_body={…}"
_ANSWERS = "A call has one answer; for several: client.map(['…'] * 3)."
_CACHE = "Caching the beginning of a conversation at the provider is cache=True, or cache='1h'."
_JSON = "An answer in JSON is response_format='json', or a JSON Schema; a typed one is output_type=Person."
_WITH_USAGE = "Every stream has its usage at the end: stream.response.usage."
_AFTER_ANSWER = "Write the answer where you want it: Path('answer.txt').write_text(client.chat('…').text)."
_TAGS = "What a call belongs to is tags=['…'] and user='…'; both are in the usage ledger."

#: Arguments, and what to write instead.
ARGUMENTS: Mapping[str, str] = {
    # the shape of a call
    "stream": _STREAM,
    "streaming": _STREAM,
    "stream_options": _WITH_USAGE,
    "include_usage": _WITH_USAGE,
    "on_token": _STREAM,
    "streaming_callback": _STREAM,
    "n": _ANSWERS,
    "num_completions": _ANSWERS,
    "candidate_count": _ANSWERS,
    "best_of": _ANSWERS,
    # the conversation
    "input": _MESSAGES,
    "inputs": _MESSAGES,
    "contents": _MESSAGES,
    "content": _MESSAGES,
    "message": _MESSAGES,
    "text": _MESSAGES,
    "query": _MESSAGES,
    "question": _MESSAGES,
    "user_prompt": _MESSAGES,
    "history": _MESSAGES,
    "message_history": _MESSAGES,
    "chat_history": _MESSAGES,
    "context": _MESSAGES,
    "instructions": _SYSTEM,
    "instruction": _SYSTEM,
    "system_prompt": _SYSTEM,
    "system_message": _SYSTEM,
    "system_instruction": _SYSTEM,
    "preamble": _SYSTEM,
    "language": "Ask for the language in the system prompt: system='Answer in German.'",
    "persona": _SYSTEM,
    "previous_response_id": _STORED,
    "conversation_id": _STORED,
    "thread_id": _STORED,
    "session_id": _STORED,
    "memory": _STORED,
    "image": _FILES,
    "images": _FILES,
    "file": _FILES,
    "attachments": _FILES,
    "fragments": _FILES,
    "documents": _FILES,
    "context_files": _FILES,
    "output_file": _AFTER_ANSWER,
    # typed answers
    "response_model": _TYPED,
    "response_schema": _TYPED,
    "output_schema": _TYPED,
    "result_type": _TYPED,
    "text_format": _TYPED,
    "schema": _TYPED,
    "response_type": _TYPED,
    "pydantic_model": _TYPED,
    "validation_context": "Check the value with validator=, a function that may raise ValueError.",
    "json_mode": _JSON,
    "json_schema": _JSON,
    "format": _JSON,
    "response_mime_type": _JSON,
    # tools
    "functions": _CALLS,
    "function": _CALLS,
    "tool": _CALLS,
    "toolsets": _CALLS,
    "function_call": _CHOICE,
    "tool_config": _CHOICE,
    "max_turns": "Most requests of a run are max_steps=: client.run(…, max_steps=5).",
    "max_iterations": "Most requests of a run are max_steps=: client.run(…, max_steps=5).",
    "max_tool_calls": "Limits of a run are budget=Budget(calls=10): client.run(…, budget=…).",
    "usage_limits": "Limits of a run are budget=Budget(steps=5, cost=0.10): client.run(…, budget=…).",
    # settings of the model
    "generation_config": _SETTINGS,
    "config": _SETTINGS,
    "model_settings": _SETTINGS,
    "model_kwargs": _SETTINGS,
    "parameters": _SETTINGS,
    "model_name": "The model is model='…'.",
    "engine": "The model is model='…'.",
    "deployment": "The name of a deployment is the model: Client('azure/my-deployment', base_url=…).",
    "azure_deployment": "The name of a deployment is the model: Client('azure/my-deployment', base_url=…).",
    "deployment_name": "The name of a deployment is the model: Client('azure/my-deployment', base_url=…).",
    "azure_endpoint": "The address is base_url='https://….openai.azure.com' of the client.",
    "custom_llm_provider": "The provider is the first part of the model: Client('openai/gpt-5-mini').",
    "model_provider": "The provider is the first part of the model: Client('openai/gpt-5-mini').",
    "stop_sequences": "Texts that end the answer are stop=['…'].",
    "max_tokens_to_sample": "The longest answer is max_tokens=.",
    "max_new_tokens": "The longest answer is max_tokens=.",
    "max_length": "The longest answer is max_tokens=.",
    "num_predict": "The longest answer is max_tokens=.",
    "repeat_penalty": f"{_BODY}: extra_body={{'options': {{'repeat_penalty': 1.1}}}} for Ollama.",
    "logit_bias": f"{_BODY}: extra_body={{'logit_bias': {{…}}}}.",
    "logprobs": f"{_BODY}: extra_body={{'logprobs': True}}; the answer has them in reply.raw.",
    "top_logprobs": f"{_BODY}: extra_body={{'logprobs': True, 'top_logprobs': 3}}; they are in reply.raw.",
    "service_tier": f"{_BODY}: extra_body={{'service_tier': 'flex'}}.",
    "safety_settings": f"{_BODY}: extra_body={{'safetySettings': […]}}.",
    "modalities": f"{_BODY}: extra_body={{'modalities': ['text', 'audio']}}.",
    "prediction": f"{_BODY}: extra_body={{'prediction': {{…}}}}.",
    "provider_options": f"{_BODY}; options of a provider, as opposed to a call, into Client('…', options={{…}}).",
    "reasoning_effort": _REASONING,
    "effort": _REASONING,
    "thinking": _REASONING,
    "thinking_budget": _REASONING,
    "thinking_config": _REASONING,
    "think": _REASONING,
    "budget_tokens": _REASONING,
    "cache_control": _CACHE,
    "cached_content": _CACHE,
    "prompt_cache_key": "Calls that share a cache have the same cache_key='…'.",
    "caching": "Answers are kept with response_cache=True of the client.",
    "drop_params": "What a model does not accept is left out and reported; on_unsupported='drop' is silent.",
    # who is asked, and how
    **dict.fromkeys(_KEYS, _KEY),
    "access_token": "A bearer token is client.with_options(token='…').",
    "endpoint": _CLIENT_URL,
    "api_base": _CLIENT_URL,
    "host": _CLIENT_URL,
    "url": _CLIENT_URL,
    "openai_api_base": _CLIENT_URL,
    "api_endpoint": _CLIENT_URL,
    "retries": _RETRIES,
    "num_retries": _RETRIES,
    "max_retry": _RETRIES,
    "retry_config": _RETRIES,
    "request_timeout": _SECONDS,
    "timeout_seconds": _SECONDS,
    "deadline": _SECONDS,
    "timeout_ms": f"{_SECONDS} They are seconds, not milliseconds.",
    "fallbacks": _ROUTER,
    "fallback_models": _ROUTER,
    "context_window_fallbacks": _ROUTER,
    "backup": _ROUTER,
    "proxies": _PROXY,
    "proxy": _PROXY,
    "verify": _PROXY,
    "verify_ssl": _PROXY,
    "cert": _PROXY,
    "http_client": _SESSION,
    "http_options": _PROXY,
    "headers": "Headers of a call are extra_headers={…}; those of every request are headers={…} of the client.",
    "options": f"{_BODY}; options of a provider, as opposed to a call, into Client('…', options={{…}}).",
    "max_retries": _RETRIES,
    "default_headers": "Headers of every request are headers={…} of the client; of one call: extra_headers={…}.",
    "default_query": "Further parameters of the address are extra_query={…} of a call.",
    "params": "Further parameters of the address are extra_query={…}.",
    "callbacks": _EVENTS,
    "callback": _EVENTS,
    "event_hooks": _EVENTS,
    "instrument": "Traces are plugins=['opentelemetry'] of the client.",
    "verbose": "What is sent and received is logged with debug_http=True of the client.",
    "debug": "What is sent and received is logged with debug_http=True of the client.",
    "logger": "The log is that of Python: logging.getLogger('provider_kit').",
    "mock_response": "For tests: provider_kit.testing.FakeServer, or Client('demo/echo').",
    "rate_limit_rpm": "Limits are rate_limit=RateLimitConfig(requests_per_minute=60) of the client.",
    "rpm": "Limits are rate_limit=RateLimitConfig(requests_per_minute=60) of the client.",
    "tpm": "Limits are rate_limit=RateLimitConfig(tokens_per_minute=90_000) of the client.",
    "max_workers": "Calls at once are concurrency= of client.map(…), or max_concurrency= of the client.",
    "abort_signal": "A call is cancelled with cancel=CancelToken(), whose cancel() any thread may call.",
    "end_user": "Your id of the end user is user='…'.",
    "trace_id": "Your id of a call is correlation_id='…'.",
    "run_id": "Your id of a call is correlation_id='…'.",
    "labels": _TAGS,
    "project_tags": _TAGS,
}

_TARGETS = "Targets are a list, the first one asked first: Router(['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5'])."
_OF_TARGETS = "It is set for each target: Router([Client('…', max_retries=2), …])."
_STRATEGY = "It is called strategy here: strategy='least_busy', 'latency', 'price', …; see Router."
#: Arguments of routers that mean something else than those of calls.
ROUTER_ARGUMENTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("fallbacks", "fallback_models", "default_fallbacks", "models", "model_list", "providers"), _TARGETS
    ),
    **dict.fromkeys(("num_retries", "max_retries", "retries", "retry", "allowed_fails"), _OF_TARGETS),
    **dict.fromkeys(("routing_strategy", "load_balancing", "policy", "mode"), _STRATEGY),
}

_CHAT = "Write client.chat('…').text, or await client.achat('…')."
_EMBED = "Write client.embed(['…']).vectors."
_TYPED_CALL = "Write client.chat('…', output_type=Person).parsed."
_RUN = "Write client.run('…', tools=[function])."
_MODELS = "Write client.models()."
_MAP = "Write: for reply in client.map(['…', '…'])."
_TALK = "Write talk = client.conversation(), then talk.say('…')."
_SAID = "What was said is talk.messages, a copy; earlier messages are given: client.conversation(messages=[…])."
_SAY = "Write talk.say('…').text, or await talk.asay('…')."
_TEXT = "The text of an answer is reply.text."
_CHUNK_TEXT = "The text of a chunk is chunk.text."
_WITH = "Other settings for some calls: client.with_options(model='…', timeout=20, temperature=0)."
_HEADERS = "What came with an answer: reply.raw, reply.headers, reply.request_id."

#: Attributes of clients, routers, conversations and answers, by the kind of object, and what to write instead.
ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "client": {
        "completions": _CHAT,
        "responses": _CHAT,
        "messages": f"{_CHAT} {_TALK}",
        "beta": _CHAT,
        "chats": _TALK,
        "threads": _TALK,
        "assistants": _RUN,
        "create": _CHAT,
        "complete": _CHAT,
        "acomplete": "Write await client.achat('…').",
        "completion": _CHAT,
        "acompletion": "Write await client.achat('…').",
        "generate": _CHAT,
        "agenerate": "Write await client.achat('…').",
        "generate_text": _CHAT,
        "generate_content": _CHAT,
        "generate_content_stream": "Write: for chunk in client.stream('…').",
        "generate_chat_completion": _CHAT,
        "generate_object": _TYPED_CALL,
        "parse": _TYPED_CALL,
        "extract": _TYPED_CALL,
        "with_structured_output": _TYPED_CALL,
        "invoke": _CHAT,
        "ainvoke": "Write await client.achat('…').",
        "predict": _CHAT,
        "ask": _CHAT,
        "prompt": _CHAT,
        "query": _CHAT,
        "send": _CHAT,
        "send_message": f"{_CHAT} {_TALK}",
        "call": _CHAT,
        "run_sync": "Write client.run('…', tools=[function]); await client.arun(…) in asyncio.",
        "stream_text": "Write: for chunk in client.stream('…').",
        "stream_chat": "Write: for chunk in client.stream('…').",
        "chat_stream": "Write: for chunk in client.stream('…').",
        "astream_chat": "Write: async for chunk in client.astream('…').",
        "run_stream": "Write: for event in client.stream_run('…', tools=[function]).",
        "bind_tools": _RUN,
        "with_tools": _RUN,
        "register_tool": _RUN,
        "agent": _RUN,
        "batch": _MAP,
        "abatch": "Write: async for reply in client.amap(['…', '…']).",
        "batches": _MAP,
        "embeddings": _EMBED,
        "embedding": _EMBED,
        "get_embedding": _EMBED,
        "embed_query": _EMBED,
        "embed_documents": _EMBED,
        "embed_content": _EMBED,
        "list_models": _MODELS,
        "get_models": _MODELS,
        "available_models": _MODELS,
        "get_model": "Write client.model_info('…').",
        "tokenize": "Write client.count_tokens('…'), or client.estimate_tokens('…') without a request.",
        "get_num_tokens": "Write client.count_tokens('…'), or client.estimate_tokens('…') without a request.",
        "api_key": "Keys are not shown; client.keys.status() tells their state.",
        "headers": "Headers are given: Client('…', headers={…}).",
        "history": _TALK,
        "start_chat": _TALK,
        "usage": "Usage is that of an answer, reply.usage, and of all calls, client.metrics.",
        "get_metrics": "Write client.metrics.",
        "with_raw_response": _HEADERS,
        "with_streaming_response": "Write: for chunk in client.stream('…').",
        "ping": "Write client.health_check().",
        "is_healthy": "Write client.health_check().",
        "from_provider": "Write Client('openai/gpt-5-mini').chat('…', output_type=Person).parsed.",
        "token_counter": "Write client.count_tokens('…'), or client.estimate_tokens('…') without a request.",
        "token_count": "Write client.count_tokens('…'), or client.estimate_tokens('…') without a request.",
        "image_generation": "Images come in answers of models that make them: client.chat('…').images.",
        "moderations": "There are no moderations here; a provider's filters end an answer with 'content_filter'.",
        "pipe": _CHAT,
        "with_fallbacks": _ROUTER,
        "set_model": _WITH,
        "bind": _WITH,
        "copy": _WITH,
        "images": f"{_FILES}",
        "audio": f"{_FILES}",
    },
    "package": {
        "AsyncClient": "Client serves asyncio, too: await Client('openai/gpt-5-mini').achat('…').",
        "OpenAI": "Write Client('openai/gpt-5-mini').",
        "AsyncOpenAI": "Write await Client('openai/gpt-5-mini').achat('…').",
        "Anthropic": "Write Client('anthropic/claude-sonnet-4-5').",
        "completion": "Write Client('openai/gpt-5-mini').chat('…').text.",
        "acompletion": "Write await Client('openai/gpt-5-mini').achat('…').",
        "chat": "Write Client('openai/gpt-5-mini').chat('…').text.",
        "Agent": "Write client.run('…', tools=[function]); a conversation with tools: client.conversation(tools=[…]).",
        "ChatModel": "Write Client('openai/gpt-5-mini').",
        "ChatOpenAI": "Write Client('openai/gpt-5-mini').",
        "ChatAnthropic": "Write Client('anthropic/claude-sonnet-4-5').",
        "HumanMessage": "Write Message.user('…'), or just the text.",
        "SystemMessage": "The system prompt is system='…' of a call.",
        "AIMessage": "Write Message.assistant('…').",
        "from_openai": "Write Client('openai/gpt-5-mini').chat('…', output_type=Person).parsed.",
        "LLM": "Write Client('openai/gpt-5-mini').",
        "get_model": "Write Client('openai/gpt-5-mini').",
        "generate": "Write Client('openai/gpt-5-mini').chat('…').text.",
        "embedding": "Write Client('openai/text-embedding-3-small').embed(['…']).vectors.",
    },
    "conversation": {
        "ask": _SAY,
        "chat": _SAY,
        "send": _SAY,
        "send_message": _SAY,
        "prompt": _SAY,
        "invoke": _SAY,
        "run": _SAY,
        "predict": _SAY,
        "add": _SAY,
        "add_message": f"{_SAY} Earlier messages: client.conversation(messages=[…]).",
        "append": f"{_SAY} Earlier messages: client.conversation(messages=[…]).",
        "history": f"{_SAID}",
        "get_history": f"{_SAID}",
        "memory": "A conversation remembers by itself; with an id also tomorrow: client.conversation('ada').",
        "add_user_message": f"{_SAY} Earlier messages: client.conversation(messages=[…]).",
        "add_ai_message": f"{_SAY} Earlier messages: client.conversation(messages=[…]).",
        "save_context": "A conversation remembers by itself; with an id also tomorrow: client.conversation('ada').",
        "reset": "Begin another one: client.conversation().",
        "clear": "Begin another one: client.conversation().",
        "fork": "Write talk.branch().",
        "copy": "Write talk.branch().",
        "regenerate": "Write talk.retry().",
        "model": "The model is that of talk.client, or of one turn: talk.say('…', model='…').",
        "tools": "Tools are given: client.conversation(tools=[…]), or talk.say('…', tools=[…]).",
    },
    "reply": {
        "choices": _TEXT,
        "content": f"{_TEXT} All of its parts are reply.message.parts.",
        "output_text": _TEXT,
        "output": _TEXT,
        "outputs": _TEXT,
        "candidates": _TEXT,
        "response": _TEXT,
        "answer": _TEXT,
        "completion": _TEXT,
        "output_parsed": "The value of an output_type is reply.parsed.",
        "data": "The value of an output_type is reply.parsed.",
        "object": "The value of an output_type is reply.parsed.",
        "stop_reason": "Why it ended is reply.finish_reason.",
        "tokens": "Tokens are reply.usage.input_tokens and reply.usage.output_tokens.",
        "usage_metadata": "Tokens are reply.usage.input_tokens and reply.usage.output_tokens.",
        "reasoning": "Reasoning is reply.thinking.",
        "reasoning_content": "Reasoning is reply.thinking.",
        "function_calls": "Calls of tools are reply.tool_calls.",
        "function_call": "Calls of tools are reply.tool_calls.",
        "latency": "How long it took is reply.timings.",
        "json": "What the provider sent is reply.raw; a typed answer is reply.parsed.",
        "model_dump": "What the provider sent is reply.raw.",
        "to_dict": "What the provider sent is reply.raw.",
        "response_metadata": _HEADERS,
        "additional_kwargs": "What the provider sent is reply.raw.",
        "hidden_params": _HEADERS,
        "final_output": _TEXT,
    },
    "chunk": {
        "choices": _CHUNK_TEXT,
        "delta": _CHUNK_TEXT,
    },
}
_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """``MaxTokens``, ``maxTokens``, ``APIKey`` and ``BaseURL`` as Python writes them."""
    return _BEFORE_CAPITAL.sub("_", name).lower()


def instead_of_argument(name: str, known: Iterable[str] = ()) -> str:
    """What to write instead of an argument of another library; empty if none is known to be meant.

    Args:
        name: The argument.
        known: Arguments that exist, whose names other languages write with capitals.
    """
    ours = snake_case(name)
    if ours != name and ours in known:
        return f"It is called {ours} here."
    if ours in _KEYS and "api_key" in known:
        return "It is called 'api_key' here: Client('…', api_key=…)."
    return ARGUMENTS.get(ours, "")


def missing_attribute(target: object, name: str, kind: str, known: Iterable[str] = ()) -> AttributeError:
    """The error of an attribute that does not exist, with what to write instead if another library has it.

    Args:
        target: The object.
        name: The attribute.
        kind: A key of :data:`ATTRIBUTES`.
        known: Attributes that exist.
    """
    text = f"{type(target).__name__!r} object has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(text, name=name, obj=target)
    ours = snake_case(name)
    hint = ATTRIBUTES[kind].get(ours, "")
    if not hint and ours != name and ours in known:
        hint = f"It is called {ours} here."
    if not hint and kind == "client" and ours.startswith("with_"):
        hint = _WITH
    if not hint:
        return AttributeError(text, name=name, obj=target)
    if type(target).__name__ == "Router":
        hint = hint.replace("client.", "router.").replace("model='…', timeout", "timeout")
    return AttributeError(f"{text}. {hint}")  # without name and obj, after which Python would add a guess of its own


class Elsewhere:
    """An attribute of another library, for classes whose every access counts: a ``__getattr__`` would slow all down."""

    def __init__(self, hint: str) -> None:
        self._hint = hint

    def __set_name__(self, owner: type, name: str) -> None:
        self._text = f"{owner.__name__!r} object has no attribute {name!r}. {self._hint}"

    def __get__(self, target: object, owner: type) -> NoReturn:
        raise AttributeError(self._text)


class NotHere:
    """What another library has below a method: ``client.chat.completions``. Whatever is read from it is an error.

    It is put on the function, which methods pass attributes on to; the method itself stays a plain one.
    """

    def __init__(self, path: str, hint: str) -> None:
        self._path, self._hint = path, hint

    def __repr__(self) -> str:
        return f"<not here: {self._path}. {self._hint}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"There is no {self._path}.{name}. {self._hint}")

    def __call__(self, *_: object, **__: object) -> Any:
        """Say what to write.

        Raises:
            AttributeError: Always.
        """
        raise AttributeError(f"There is no {self._path}(). {self._hint}")


def below(function: Callable[..., Any], **hints: str) -> None:
    """Answer what other libraries have below a method of this name."""
    for name, hint in hints.items():
        setattr(function, name, NotHere(f"client.{function.__name__}.{name}", hint))
