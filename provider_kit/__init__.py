"""One client for many language model providers, blocking or asyncio.

>>> from provider_kit import Client
>>> Client("demo/echo").chat("Hello").text
'Hello'

Names are loaded on first use, which keeps the import of the package fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_kit._version import __version__ as __version__
from provider_kit.model.lazy_names import lazy_names, names_by_module
from provider_kit.model.other_libraries import ATTRIBUTES

if TYPE_CHECKING:
    from provider_kit.auth.authenticator import Authenticator as Authenticator
    from provider_kit.auth.authenticator import AuthMethod as AuthMethod
    from provider_kit.auth.fixed_credentials import APIKeyAuthenticator as APIKeyAuthenticator
    from provider_kit.auth.fixed_credentials import BearerTokenAuthenticator as BearerTokenAuthenticator
    from provider_kit.auth.keys.manager import KeyManager as KeyManager
    from provider_kit.auth.keys.pool import KeyPool as KeyPool
    from provider_kit.auth.keys.state import KeyStatus as KeyStatus
    from provider_kit.auth.manager import AuthManager as AuthManager
    from provider_kit.auth.manager import AuthStatus as AuthStatus
    from provider_kit.auth.monitoring.alerts import MonitoringConfig as MonitoringConfig
    from provider_kit.auth.monitoring.metrics import CredentialMetrics as CredentialMetrics
    from provider_kit.auth.oauth.authenticator import OAuthAuthenticator as OAuthAuthenticator
    from provider_kit.auth.oauth.credential_rotation import RotationPolicy as RotationPolicy
    from provider_kit.auth.oauth.credential_rotation import RotationState as RotationState
    from provider_kit.auth.oauth.credential_rotation import Stage as Stage
    from provider_kit.auth.oauth.key_manager import OAuthKeyManager as OAuthKeyManager
    from provider_kit.auth.oauth.presets import auth_methods as auth_methods
    from provider_kit.auth.oauth.presets import oauth_config as oauth_config
    from provider_kit.auth.oauth.presets import providers_by_method as providers_by_method
    from provider_kit.auth.oauth.token_state import RefreshStrategy as RefreshStrategy
    from provider_kit.auth.storage.encrypted import EncryptedTokenStorage as EncryptedTokenStorage
    from provider_kit.auth.storage.encrypted import generate_encryption_key as generate_encryption_key
    from provider_kit.auth.storage.factory import open_token_storage as open_token_storage
    from provider_kit.auth.storage.files import FileTokenStorage as FileTokenStorage
    from provider_kit.auth.storage.keyring import KeyringTokenStorage as KeyringTokenStorage
    from provider_kit.auth.storage.memory import MemoryTokenStorage as MemoryTokenStorage
    from provider_kit.auth.storage.protocol import TokenStorage as TokenStorage
    from provider_kit.auth.storage.redis import RedisTokenStorage as RedisTokenStorage
    from provider_kit.auth.storage.sqlite import SQLiteTokenStorage as SQLiteTokenStorage
    from provider_kit.bulk.iterators import AsyncReplies as AsyncReplies
    from provider_kit.bulk.iterators import Replies as Replies
    from provider_kit.client.client import Client as Client
    from provider_kit.client.collection import Clients as Clients
    from provider_kit.client.collection import ProviderFactory as ProviderFactory
    from provider_kit.client.collection import load_config as load_config
    from provider_kit.client.collection import load_encrypted_config as load_encrypted_config
    from provider_kit.client.files import Files as Files
    from provider_kit.client.health_checker import HealthChecker as HealthChecker
    from provider_kit.client.ollama import OllamaModels as OllamaModels
    from provider_kit.client.rate_limiter import RateLimiter as RateLimiter
    from provider_kit.client.rate_limits import RateLimits as RateLimits
    from provider_kit.client.router import Router as Router
    from provider_kit.client.streams import AsyncChatStream as AsyncChatStream
    from provider_kit.client.streams import ChatStream as ChatStream
    from provider_kit.client.target import Target as Target
    from provider_kit.config.encrypted import decrypt_config as decrypt_config
    from provider_kit.config.encrypted import encrypt_config as encrypt_config
    from provider_kit.config.problems import Problem as Problem
    from provider_kit.config.routes import RouteMember as RouteMember
    from provider_kit.config.routes import RoutingConfig as RoutingConfig
    from provider_kit.conversations.checks import fix_missing_tool_responses as fix_missing_tool_responses
    from provider_kit.conversations.checks import has_images as has_images
    from provider_kit.conversations.checks import pending_tool_calls as pending_tool_calls
    from provider_kit.conversations.checks import validate_tool_calls as validate_tool_calls
    from provider_kit.conversations.conversation import Conversation as Conversation
    from provider_kit.conversations.stores import ConversationStore as ConversationStore
    from provider_kit.conversations.stream import AsyncConversationStream as AsyncConversationStream
    from provider_kit.conversations.stream import ConversationStream as ConversationStream
    from provider_kit.conversations.truncate import truncate_messages as truncate_messages
    from provider_kit.dialects.base import Dialect as Dialect
    from provider_kit.dialects.ollama_chat.management import LoadedModel as LoadedModel
    from provider_kit.dialects.ollama_chat.management import PullProgress as PullProgress
    from provider_kit.doctor.debug_report import DebugReport as DebugReport
    from provider_kit.doctor.debug_report import debug_report as debug_report
    from provider_kit.doctor.debug_report import report_on_signal as report_on_signal
    from provider_kit.doctor.findings import Diagnosis as Diagnosis
    from provider_kit.doctor.findings import Finding as Finding
    from provider_kit.engine.call import Call as Call
    from provider_kit.engine.correlation import correlation as correlation
    from provider_kit.engine.handler import CallNext as CallNext
    from provider_kit.engine.handler import End as End
    from provider_kit.engine.handler import Handler as Handler
    from provider_kit.engine.handler import Middleware as Middleware
    from provider_kit.engine.handler import Reply as Reply
    from provider_kit.engine.middleware import MiddlewareChain as MiddlewareChain
    from provider_kit.engine.plugin import Plugin as Plugin
    from provider_kit.engine.plugin import PluginContext as PluginContext
    from provider_kit.errors import AllKeysExhaustedError as AllKeysExhaustedError
    from provider_kit.errors import AllProvidersFailedError as AllProvidersFailedError
    from provider_kit.errors import APIConnectionError as APIConnectionError
    from provider_kit.errors import APIError as APIError
    from provider_kit.errors import APITimeoutError as APITimeoutError
    from provider_kit.errors import AuthenticationError as AuthenticationError
    from provider_kit.errors import AuthError as AuthError
    from provider_kit.errors import AuthErrorCode as AuthErrorCode
    from provider_kit.errors import BadRequestError as BadRequestError
    from provider_kit.errors import BudgetExceededError as BudgetExceededError
    from provider_kit.errors import CallCancelledError as CallCancelledError
    from provider_kit.errors import CircuitOpenError as CircuitOpenError
    from provider_kit.errors import ConfigError as ConfigError
    from provider_kit.errors import ConflictError as ConflictError
    from provider_kit.errors import ContentFilterError as ContentFilterError
    from provider_kit.errors import ContextLengthExceededError as ContextLengthExceededError
    from provider_kit.errors import ConversationChangedError as ConversationChangedError
    from provider_kit.errors import DeadlineExceededError as DeadlineExceededError
    from provider_kit.errors import EncryptionError as EncryptionError
    from provider_kit.errors import InsufficientQuotaError as InsufficientQuotaError
    from provider_kit.errors import InternalServerError as InternalServerError
    from provider_kit.errors import InvalidRequestError as InvalidRequestError
    from provider_kit.errors import InvalidResponseError as InvalidResponseError
    from provider_kit.errors import MaxStepsExceededError as MaxStepsExceededError
    from provider_kit.errors import MissingAPIKeyError as MissingAPIKeyError
    from provider_kit.errors import MissingDependencyError as MissingDependencyError
    from provider_kit.errors import ModelNotFoundError as ModelNotFoundError
    from provider_kit.errors import NotFoundError as NotFoundError
    from provider_kit.errors import NotSupportedError as NotSupportedError
    from provider_kit.errors import OverloadedError as OverloadedError
    from provider_kit.errors import PaymentRequiredError as PaymentRequiredError
    from provider_kit.errors import PendingToolCallsError as PendingToolCallsError
    from provider_kit.errors import PermissionDeniedError as PermissionDeniedError
    from provider_kit.errors import PluginError as PluginError
    from provider_kit.errors import PoolTimeoutError as PoolTimeoutError
    from provider_kit.errors import ProviderKitError as ProviderKitError
    from provider_kit.errors import RateLimitError as RateLimitError
    from provider_kit.errors import RateLimitExceededError as RateLimitExceededError
    from provider_kit.errors import RequestTimeoutError as RequestTimeoutError
    from provider_kit.errors import RequestTooLargeError as RequestTooLargeError
    from provider_kit.errors import ResponseLostError as ResponseLostError
    from provider_kit.errors import RetryTool as RetryTool
    from provider_kit.errors import StorageError as StorageError
    from provider_kit.errors import StoreError as StoreError
    from provider_kit.errors import StreamError as StreamError
    from provider_kit.errors import StreamIncompleteError as StreamIncompleteError
    from provider_kit.errors import StreamTimeoutError as StreamTimeoutError
    from provider_kit.errors import StructuredOutputError as StructuredOutputError
    from provider_kit.errors import ToolCallParseError as ToolCallParseError
    from provider_kit.errors import ToolError as ToolError
    from provider_kit.errors import UnknownProviderError as UnknownProviderError
    from provider_kit.errors import UnprocessableEntityError as UnprocessableEntityError
    from provider_kit.errors import UnsupportedParameterError as UnsupportedParameterError
    from provider_kit.model.attempts import Attempt as Attempt
    from provider_kit.model.attempts import Timings as Timings
    from provider_kit.model.call_events import CallEnded as CallEnded
    from provider_kit.model.call_events import RouterCallEnded as RouterCallEnded
    from provider_kit.model.call_events import ToolCallEnded as ToolCallEnded
    from provider_kit.model.call_events import sink as sink
    from provider_kit.model.call_options import ChatOptions as ChatOptions
    from provider_kit.model.call_options import OutputOptions as OutputOptions
    from provider_kit.model.cancellation import CancelToken as CancelToken
    from provider_kit.model.chat import ChatRequest as ChatRequest
    from provider_kit.model.chat import ChatResponse as ChatResponse
    from provider_kit.model.chat import Chunk as Chunk
    from provider_kit.model.chat import FinishReason as FinishReason
    from provider_kit.model.chat import OutputAttempt as OutputAttempt
    from provider_kit.model.chat import ParameterWarning as ParameterWarning
    from provider_kit.model.chat import ToolCallDelta as ToolCallDelta
    from provider_kit.model.config import DEFAULT_MAX_RETRIES as DEFAULT_MAX_RETRIES
    from provider_kit.model.config import DEFAULT_MAX_TOKENS as DEFAULT_MAX_TOKENS
    from provider_kit.model.config import DEFAULT_TEMPERATURE as DEFAULT_TEMPERATURE
    from provider_kit.model.config import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT
    from provider_kit.model.config import DEFAULT_TOTAL_TIMEOUT as DEFAULT_TOTAL_TIMEOUT
    from provider_kit.model.config import APIKey as APIKey
    from provider_kit.model.config import CircuitBreakerConfig as CircuitBreakerConfig
    from provider_kit.model.config import HTTPConfig as HTTPConfig
    from provider_kit.model.config import OnUnsupported as OnUnsupported
    from provider_kit.model.config import ProviderConfig as ProviderConfig
    from provider_kit.model.config import RateLimitConfig as RateLimitConfig
    from provider_kit.model.config import Timeout as Timeout
    from provider_kit.model.convert import dump_conversation as dump_conversation
    from provider_kit.model.convert import load_conversation as load_conversation
    from provider_kit.model.estimates import CostEstimate as CostEstimate
    from provider_kit.model.estimates import TokenEstimate as TokenEstimate
    from provider_kit.model.events import AlertKind as AlertKind
    from provider_kit.model.events import AttemptFailed as AttemptFailed
    from provider_kit.model.events import CacheHit as CacheHit
    from provider_kit.model.events import CacheMiss as CacheMiss
    from provider_kit.model.events import CacheStored as CacheStored
    from provider_kit.model.events import CallFailed as CallFailed
    from provider_kit.model.events import CallStarted as CallStarted
    from provider_kit.model.events import CallSucceeded as CallSucceeded
    from provider_kit.model.events import CircuitChanged as CircuitChanged
    from provider_kit.model.events import CircuitClosed as CircuitClosed
    from provider_kit.model.events import CircuitHalfOpened as CircuitHalfOpened
    from provider_kit.model.events import CircuitOpened as CircuitOpened
    from provider_kit.model.events import ConcurrencyWait as ConcurrencyWait
    from provider_kit.model.events import CredentialEvent as CredentialEvent
    from provider_kit.model.events import Event as Event
    from provider_kit.model.events import HedgeStarted as HedgeStarted
    from provider_kit.model.events import KeyCooling as KeyCooling
    from provider_kit.model.events import KeyDead as KeyDead
    from provider_kit.model.events import KeyParked as KeyParked
    from provider_kit.model.events import KeySwitched as KeySwitched
    from provider_kit.model.events import KeyWait as KeyWait
    from provider_kit.model.events import ProviderSwitched as ProviderSwitched
    from provider_kit.model.events import RaceDecided as RaceDecided
    from provider_kit.model.events import RateLimitLearned as RateLimitLearned
    from provider_kit.model.events import RateLimitWait as RateLimitWait
    from provider_kit.model.events import RetryScheduled as RetryScheduled
    from provider_kit.model.events import RouteChosen as RouteChosen
    from provider_kit.model.events import StoreBack as StoreBack
    from provider_kit.model.events import StoreFailed as StoreFailed
    from provider_kit.model.events import StreamAborted as StreamAborted
    from provider_kit.model.events import StreamEnded as StreamEnded
    from provider_kit.model.events import StreamStarted as StreamStarted
    from provider_kit.model.events import TargetBack as TargetBack
    from provider_kit.model.events import TargetCooling as TargetCooling
    from provider_kit.model.events import TokenRefreshed as TokenRefreshed
    from provider_kit.model.events import TokenRefreshFailed as TokenRefreshFailed
    from provider_kit.model.fault_domains import error_type as error_type
    from provider_kit.model.files import UploadedFile as UploadedFile
    from provider_kit.model.health import TestResult as TestResult
    from provider_kit.model.inputs import Messages as Messages
    from provider_kit.model.media import Audio as Audio
    from provider_kit.model.media import Document as Document
    from provider_kit.model.media import Image as Image
    from provider_kit.model.media import Media as Media
    from provider_kit.model.messages import Message as Message
    from provider_kit.model.messages import Native as Native
    from provider_kit.model.messages import Refusal as Refusal
    from provider_kit.model.messages import Text as Text
    from provider_kit.model.messages import Thinking as Thinking
    from provider_kit.model.messages import ToolCall as ToolCall
    from provider_kit.model.messages import ToolResult as ToolResult
    from provider_kit.model.models import EmbeddingRequest as EmbeddingRequest
    from provider_kit.model.models import Embeddings as Embeddings
    from provider_kit.model.models import HealthStatus as HealthStatus
    from provider_kit.model.models import Model as Model
    from provider_kit.model.oauth import DeviceCode as DeviceCode
    from provider_kit.model.oauth import OAuthConfig as OAuthConfig
    from provider_kit.model.oauth import OAuthCredentialSet as OAuthCredentialSet
    from provider_kit.model.oauth import OAuthToken as OAuthToken
    from provider_kit.model.oauth import OnTokenRefresh as OnTokenRefresh
    from provider_kit.model.oauth import PKCEConfig as PKCEConfig
    from provider_kit.model.oauth import RefreshConfig as RefreshConfig
    from provider_kit.model.oauth import StateConfig as StateConfig
    from provider_kit.model.oauth import TokenInfo as TokenInfo
    from provider_kit.model.pricing import Pricing as Pricing
    from provider_kit.model.routing import ExplainedTarget as ExplainedTarget
    from provider_kit.model.routing import RouteAttempt as RouteAttempt
    from provider_kit.model.routing import RouteExplanation as RouteExplanation
    from provider_kit.model.routing import Routing as Routing
    from provider_kit.model.routing import TargetStatus as TargetStatus
    from provider_kit.model.snapshots import ErrorSnapshot as ErrorSnapshot
    from provider_kit.model.tools import Reasoning as Reasoning
    from provider_kit.model.tools import ResponseFormat as ResponseFormat
    from provider_kit.model.tools import Tool as Tool
    from provider_kit.model.tools import ToolChoice as ToolChoice
    from provider_kit.model.usage import Usage as Usage
    from provider_kit.observability.call_metrics import CallMetrics as CallMetrics
    from provider_kit.observability.call_metrics import ErrorSummary as ErrorSummary
    from provider_kit.observability.call_metrics import MetricsSnapshot as MetricsSnapshot
    from provider_kit.observability.histogram import Percentiles as Percentiles
    from provider_kit.observability.log_output import configure_logging as configure_logging
    from provider_kit.observability.metrics import Metrics as Metrics
    from provider_kit.observability.prometheus import PrometheusMetrics as PrometheusMetrics
    from provider_kit.observability.subscription import Subscription as Subscription
    from provider_kit.observability.usage_ledger import UsageLedger as UsageLedger
    from provider_kit.observability.usage_ledger import UsageSum as UsageSum
    from provider_kit.plugins.manager import PluginManager as PluginManager
    from provider_kit.policies.circuit_breaker import CircuitBreaker as CircuitBreaker
    from provider_kit.policies.circuit_breaker import CircuitStatus as CircuitStatus
    from provider_kit.policies.rate_limit import Limiter as Limiter
    from provider_kit.policies.response_cache import CacheStore as CacheStore
    from provider_kit.policies.response_cache import ResponseCache as ResponseCache
    from provider_kit.policies.retry import Backoff as Backoff
    from provider_kit.policies.retry import RetryPolicy as RetryPolicy
    from provider_kit.policies.routing.hedging import Hedge as Hedge
    from provider_kit.policies.routing.racing import Race as Race
    from provider_kit.policies.routing.state import RouteRequest as RouteRequest
    from provider_kit.policies.routing.state import TargetState as TargetState
    from provider_kit.policies.routing.strategies import Choices as Choices
    from provider_kit.policies.routing.strategies import Strategy as Strategy
    from provider_kit.providers.base import Provider as Provider
    from provider_kit.providers.registry import provider_names as provider_names
    from provider_kit.providers.registry import register_provider as register_provider
    from provider_kit.stores.redis_store import RedisStore as RedisStore
    from provider_kit.stores.sqlite_history import SQLiteHistory as SQLiteHistory
    from provider_kit.structured.partials import PartialValue as PartialValue
    from provider_kit.tools.actions import Action as Action
    from provider_kit.tools.actions import next_action as next_action
    from provider_kit.tools.budget import Budget as Budget
    from provider_kit.tools.context import ToolContext as ToolContext
    from provider_kit.tools.decisions import Decision as Decision
    from provider_kit.tools.decisions import answer as answer
    from provider_kit.tools.decisions import approve as approve
    from provider_kit.tools.decisions import deny as deny
    from provider_kit.tools.decisions import edit as edit
    from provider_kit.tools.function import FunctionTool as FunctionTool
    from provider_kit.tools.function import tool as tool
    from provider_kit.tools.ledger import Ledger as Ledger
    from provider_kit.tools.ledger import LedgerEntry as LedgerEntry
    from provider_kit.tools.options import RunOptions as RunOptions
    from provider_kit.tools.result import RunResult as RunResult
    from provider_kit.tools.result import Step as Step
    from provider_kit.tools.result import ToolOutcome as ToolOutcome
    from provider_kit.tools.run_events import RunEvent as RunEvent
    from provider_kit.tools.run_events import RunReset as RunReset
    from provider_kit.tools.run_events import StepEnded as StepEnded
    from provider_kit.tools.run_events import TextDelta as TextDelta
    from provider_kit.tools.run_events import ThinkingDelta as ThinkingDelta
    from provider_kit.tools.run_events import ToolCallProgress as ToolCallProgress
    from provider_kit.tools.run_events import ToolFinished as ToolFinished
    from provider_kit.tools.run_events import ToolProgress as ToolProgress
    from provider_kit.tools.run_events import ToolStarted as ToolStarted
    from provider_kit.tools.run_stream import AsyncRunStream as AsyncRunStream
    from provider_kit.tools.run_stream import RunStream as RunStream
    from provider_kit.tools.settings import StepPlan as StepPlan
    from provider_kit.tools.sqlite_ledger import SQLiteLedger as SQLiteLedger
    from provider_kit.transports.loop_warning import BlockingCallWarning as BlockingCallWarning
    from provider_kit.transports.scripted import ScriptedTransport as ScriptedTransport
    from provider_kit.wire.rate_limit_headers import Allowance as Allowance
    from provider_kit.wire.rate_limit_headers import RateLimitInfo as RateLimitInfo

_HOMES = names_by_module(
    """
        provider_kit.auth.authenticator: AuthMethod Authenticator
        provider_kit.auth.fixed_credentials: APIKeyAuthenticator BearerTokenAuthenticator
        provider_kit.auth.keys.manager: KeyManager
        provider_kit.auth.keys.pool: KeyPool
        provider_kit.auth.keys.state: KeyStatus
        provider_kit.auth.manager: AuthManager AuthStatus
        provider_kit.auth.monitoring.alerts: MonitoringConfig
        provider_kit.auth.monitoring.metrics: CredentialMetrics
        provider_kit.auth.oauth.authenticator: OAuthAuthenticator
        provider_kit.auth.oauth.credential_rotation: RotationPolicy RotationState Stage
        provider_kit.auth.oauth.key_manager: OAuthKeyManager
        provider_kit.auth.oauth.presets: auth_methods oauth_config providers_by_method
        provider_kit.auth.oauth.token_state: RefreshStrategy
        provider_kit.auth.storage.encrypted: EncryptedTokenStorage generate_encryption_key
        provider_kit.auth.storage.factory: open_token_storage
        provider_kit.auth.storage.files: FileTokenStorage
        provider_kit.auth.storage.keyring: KeyringTokenStorage
        provider_kit.auth.storage.memory: MemoryTokenStorage
        provider_kit.auth.storage.protocol: TokenStorage
        provider_kit.auth.storage.redis: RedisTokenStorage
        provider_kit.auth.storage.sqlite: SQLiteTokenStorage
        provider_kit.bulk.iterators: AsyncReplies Replies
        provider_kit.client.client: Client
        provider_kit.client.collection: Clients ProviderFactory load_config load_encrypted_config
        provider_kit.client.files: Files
        provider_kit.client.health_checker: HealthChecker
        provider_kit.client.ollama: OllamaModels
        provider_kit.client.rate_limiter: RateLimiter
        provider_kit.client.rate_limits: RateLimits
        provider_kit.client.router: Router
        provider_kit.client.streams: AsyncChatStream ChatStream
        provider_kit.client.target: Target
        provider_kit.config.encrypted: decrypt_config encrypt_config
        provider_kit.config.problems: Problem
        provider_kit.config.routes: RouteMember RoutingConfig
        provider_kit.conversations.checks: fix_missing_tool_responses has_images pending_tool_calls validate_tool_calls
        provider_kit.conversations.conversation: Conversation
        provider_kit.conversations.stores: ConversationStore
        provider_kit.conversations.stream: AsyncConversationStream ConversationStream
        provider_kit.conversations.truncate: truncate_messages
        provider_kit.dialects.base: Dialect
        provider_kit.dialects.ollama_chat.management: LoadedModel PullProgress
        provider_kit.doctor.debug_report: DebugReport debug_report report_on_signal
        provider_kit.doctor.findings: Diagnosis Finding
        provider_kit.engine.call: Call
        provider_kit.engine.correlation: correlation
        provider_kit.engine.handler: CallNext End Handler Middleware Reply
        provider_kit.engine.middleware: MiddlewareChain
        provider_kit.engine.plugin: Plugin PluginContext
        provider_kit.errors: APIConnectionError APIError APITimeoutError AllKeysExhaustedError AllProvidersFailedError
        AuthError AuthErrorCode AuthenticationError BadRequestError BudgetExceededError CallCancelledError
        CircuitOpenError ConfigError ConflictError ContentFilterError ContextLengthExceededError
        ConversationChangedError DeadlineExceededError EncryptionError InsufficientQuotaError InternalServerError
        InvalidRequestError InvalidResponseError MaxStepsExceededError MissingAPIKeyError MissingDependencyError
        ModelNotFoundError NotFoundError NotSupportedError OverloadedError PaymentRequiredError PendingToolCallsError
        PermissionDeniedError PluginError PoolTimeoutError ProviderKitError RateLimitError RateLimitExceededError
        RequestTimeoutError RequestTooLargeError ResponseLostError RetryTool StorageError StoreError StreamError
        StreamIncompleteError StreamTimeoutError StructuredOutputError ToolCallParseError ToolError UnknownProviderError
        UnprocessableEntityError UnsupportedParameterError
        provider_kit.model.attempts: Attempt Timings
        provider_kit.model.call_events: CallEnded RouterCallEnded ToolCallEnded sink
        provider_kit.model.cancellation: CancelToken
        provider_kit.model.chat: ChatRequest ChatResponse Chunk FinishReason OutputAttempt ParameterWarning
        ToolCallDelta
        provider_kit.model.config: APIKey CircuitBreakerConfig DEFAULT_MAX_RETRIES DEFAULT_MAX_TOKENS
        DEFAULT_TEMPERATURE DEFAULT_TIMEOUT DEFAULT_TOTAL_TIMEOUT HTTPConfig OnUnsupported ProviderConfig
        RateLimitConfig Timeout
        provider_kit.model.convert: dump_conversation load_conversation
        provider_kit.model.estimates: CostEstimate TokenEstimate
        provider_kit.model.events: AlertKind AttemptFailed CacheHit CacheMiss CacheStored CallFailed CallStarted
        CallSucceeded CircuitChanged CircuitClosed CircuitHalfOpened CircuitOpened ConcurrencyWait CredentialEvent Event
        HedgeStarted KeyCooling KeyDead KeyParked KeySwitched KeyWait ProviderSwitched RaceDecided RateLimitLearned
        RateLimitWait RetryScheduled RouteChosen StoreBack StoreFailed StreamAborted StreamEnded StreamStarted
        TargetBack TargetCooling TokenRefreshFailed TokenRefreshed
        provider_kit.model.fault_domains: error_type
        provider_kit.model.files: UploadedFile
        provider_kit.model.health: TestResult
        provider_kit.model.call_options: ChatOptions OutputOptions
        provider_kit.model.inputs: Messages
        provider_kit.model.media: Audio Document Image Media
        provider_kit.model.messages: Message Native Refusal Text Thinking ToolCall ToolResult
        provider_kit.model.models: EmbeddingRequest Embeddings HealthStatus Model
        provider_kit.model.oauth: DeviceCode OAuthConfig OAuthCredentialSet OAuthToken OnTokenRefresh PKCEConfig
        RefreshConfig StateConfig TokenInfo
        provider_kit.model.pricing: Pricing
        provider_kit.model.routing: ExplainedTarget RouteAttempt RouteExplanation Routing TargetStatus
        provider_kit.model.snapshots: ErrorSnapshot
        provider_kit.model.tools: Reasoning ResponseFormat Tool ToolChoice
        provider_kit.model.usage: Usage
        provider_kit.observability.call_metrics: CallMetrics ErrorSummary MetricsSnapshot
        provider_kit.observability.histogram: Percentiles
        provider_kit.observability.log_output: configure_logging
        provider_kit.observability.metrics: Metrics
        provider_kit.observability.prometheus: PrometheusMetrics
        provider_kit.observability.subscription: Subscription
        provider_kit.observability.usage_ledger: UsageLedger UsageSum
        provider_kit.plugins.manager: PluginManager
        provider_kit.policies.circuit_breaker: CircuitBreaker CircuitStatus
        provider_kit.policies.rate_limit: Limiter
        provider_kit.policies.response_cache: CacheStore ResponseCache
        provider_kit.policies.retry: Backoff RetryPolicy
        provider_kit.policies.routing.hedging: Hedge
        provider_kit.policies.routing.racing: Race
        provider_kit.policies.routing.state: RouteRequest TargetState
        provider_kit.policies.routing.strategies: Choices Strategy
        provider_kit.providers.base: Provider
        provider_kit.providers.registry: provider_names register_provider
        provider_kit.stores.redis_store: RedisStore
        provider_kit.stores.sqlite_history: SQLiteHistory
        provider_kit.structured.partials: PartialValue
        provider_kit.tools.actions: Action next_action
        provider_kit.tools.budget: Budget
        provider_kit.tools.context: ToolContext
        provider_kit.tools.decisions: Decision answer approve deny edit
        provider_kit.tools.function: FunctionTool tool
        provider_kit.tools.ledger: Ledger LedgerEntry
        provider_kit.tools.options: RunOptions
        provider_kit.tools.result: RunResult Step ToolOutcome
        provider_kit.tools.run_events: RunEvent RunReset StepEnded TextDelta ThinkingDelta ToolCallProgress ToolFinished
        ToolProgress ToolStarted
        provider_kit.tools.run_stream: AsyncRunStream RunStream
        provider_kit.tools.settings: StepPlan
        provider_kit.tools.sqlite_ledger: SQLiteLedger
        provider_kit.transports.loop_warning: BlockingCallWarning
        provider_kit.transports.scripted: ScriptedTransport
        provider_kit.wire.rate_limit_headers: Allowance RateLimitInfo
    """
)
__getattr__, __dir__ = lazy_names(__name__, _HOMES, instead=ATTRIBUTES["package"])

if not TYPE_CHECKING:  # type checkers cannot read it, and take the imports above, with "as", for what is public
    __all__ = sorted((*(name for names in _HOMES.values() for name in names), "__version__"))  # noqa: PLE0605  # a list
