"""Every name by which telemetry is known outside: OpenTelemetry's rpc.* and gen_ai.* conventions, and our own.

Sources: https://opentelemetry.io/docs/specs/semconv/rpc/ and https://opentelemetry.io/docs/specs/semconv/gen-ai/.
"""

RPC_SERVER_CALL_DURATION = "rpc.server.call.duration"
RPC_SYSTEM_NAME = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_RESPONSE_STATUS_CODE = "rpc.response.status_code"
ERROR_TYPE = "error.type"

GEN_AI_CLIENT_OPERATION_DURATION = "gen_ai.client.operation.duration"
GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
GEN_AI_CLIENT_TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - tokens of text
GEN_AI_TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - as above
GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_AGENT_NAME = "gen_ai.agent.name"
GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_TEMPERATURE = "gen_ai.request.temperature"
GEN_AI_REQUEST_TOP_P = "gen_ai.request.top_p"
GEN_AI_REQUEST_STREAM = "gen_ai.request.stream"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
GEN_AI_USAGE_REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens"
GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
CHAT = "chat"
INVOKE_AGENT = "invoke_agent"

PENSTOCK_REQUEST_ID = "penstock.request_id"
PENSTOCK_TENANT = "penstock.tenant"
PENSTOCK_REASON = "penstock.reason"
PENSTOCK_CALL_ID = "penstock.call_id"
PENSTOCK_MODEL = "penstock.model"
PENSTOCK_ATTEMPT = "penstock.attempt"
PENSTOCK_RETRY_REASON = "penstock.retry.reason"
PENSTOCK_USAGE_ESTIMATED = "penstock.usage.estimated"
PENSTOCK_COST = "penstock.cost_nanousd"
PENSTOCK_CACHE_STATUS = "penstock.cache.status"
PENSTOCK_WAIT = "penstock.wait"
PENSTOCK_WAIT_SECONDS = "penstock.wait.seconds"
PENSTOCK_LIMITS = "penstock.limits"
CANCELLED = "cancelled"

ADMITTED_EVENT = "penstock.admitted"
DENIED_EVENT = "penstock.denied"
CACHE_EVENT = "penstock.cache"
WAIT_EVENT = "penstock.wait"

PENSTOCK_BUILD_INFO = "penstock.build_info"
PENSTOCK_VERSION = "version"

PENSTOCK_CALL_FIRST_CONTENT = "penstock.call.first_content"
PENSTOCK_CALLS_IN_FLIGHT = "penstock.calls.in_flight"
PENSTOCK_OVERHEAD = "penstock.overhead"
PENSTOCK_READER_STALLS = "penstock.reader.stalls"
PENSTOCK_SHED = "penstock.shed"
PENSTOCK_WAIT_DURATION = "penstock.wait.duration"

PENSTOCK_STATE = "penstock.state"
PENSTOCK_CAUSE = "penstock.cause"
PENSTOCK_CIRCUIT_STATE = "penstock.circuit.state"
PENSTOCK_CIRCUIT_TRANSITIONS = "penstock.circuit.transitions"
PENSTOCK_COOLDOWN_REMAINING = "penstock.cooldown.remaining"
PENSTOCK_MODEL_IN_FLIGHT = "penstock.model.in_flight"
PENSTOCK_MODELS_CONFIGURED = "penstock.models.configured"
PENSTOCK_MODELS_USABLE = "penstock.models.usable"
PENSTOCK_RETRIES = "penstock.retries"
PENSTOCK_RETRY_BUDGET_AVAILABLE = "penstock.retry_budget.available"

PENSTOCK_SPEND = "penstock.spend"
PENSTOCK_WASTED = "penstock.wasted"
PENSTOCK_BUDGET_HELD = "penstock.budget.held"
PENSTOCK_PRICE_UNKNOWN = "penstock.price.unknown"

PENSTOCK_CERTIFICATE_EXPIRES = "penstock.certificate.expires.timestamp"
PENSTOCK_EVENT_LOOP_LAG = "penstock.event_loop.lag"
PENSTOCK_LEDGER_COMMIT_DURATION = "penstock.ledger.commit.duration"
PENSTOCK_LEDGER_FAILING = "penstock.ledger.failing"
PENSTOCK_LEDGER_WAITING = "penstock.ledger.waiting"
PENSTOCK_SIGNAL = "penstock.signal"
PENSTOCK_TELEMETRY_DROPPED = "penstock.telemetry.dropped"

PENSTOCK_AUTH_REFUSALS = "penstock.auth.refusals"

PENSTOCK_RULE = "penstock.rule"
PENSTOCK_RULE_PER = "penstock.rule.per"
PENSTOCK_RULE_SHADOW = "penstock.rule.shadow"
PENSTOCK_LIMIT_ADMISSIONS = "penstock.limit.admissions"
PENSTOCK_LIMIT_DENIALS = "penstock.limit.denials"
PENSTOCK_BUDGET_ALERTS = "penstock.budget.alerts"
PENSTOCK_BUDGET_FRACTION = "penstock.budget.fraction"

PENSTOCK_IDEMPOTENCY_JOINS = "penstock.idempotency.joins"
PENSTOCK_IDEMPOTENCY_REPLAYS = "penstock.idempotency.replays"

PENSTOCK_CACHE_ENTRIES = "penstock.cache.entries"
PENSTOCK_CACHE_SIZE = "penstock.cache.size"
PENSTOCK_CACHE_HITS = "penstock.cache.hits"
PENSTOCK_CACHE_MISSES = "penstock.cache.misses"
PENSTOCK_CACHE_JOINS = "penstock.cache.joins"
PENSTOCK_CACHE_EVICTIONS = "penstock.cache.evictions"

CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 600)
"""Histogram bounds for calls that wait for models, in seconds."""
GEN_AI_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Histogram bounds for what models take, as the gen_ai conventions advise."""
TOKENS = tuple(4**power for power in range(14))
"""Histogram bounds for tokens, as the gen_ai conventions advise."""
OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Histogram bounds for what a call takes besides."""
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Histogram bounds for an event loop that is late."""
COMMIT_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Histogram bounds for commits of the ledger, in memory of the system or on a disk."""
