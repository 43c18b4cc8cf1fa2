"""Every name by which telemetry is known outside: OpenTelemetry's rpc.* and gen_ai.* conventions, and our own.

Sources: https://opentelemetry.io/docs/specs/semconv/rpc/ and https://opentelemetry.io/docs/specs/semconv/gen-ai/.
"""

RPC_SERVER_CALL_DURATION = "rpc.server.call.duration"
RPC_SYSTEM_NAME = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_RESPONSE_STATUS_CODE = "rpc.response.status_code"
ERROR_TYPE = "error.type"

GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_AGENT_NAME = "gen_ai.agent.name"
GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"

PENSTOCK_REQUEST_ID = "penstock.request_id"
PENSTOCK_TENANT = "penstock.tenant"
PENSTOCK_REASON = "penstock.reason"

PENSTOCK_AUTH_REFUSALS = "penstock.auth.refusals"

PENSTOCK_RULE = "penstock.rule"
PENSTOCK_RULE_PER = "penstock.rule.per"
PENSTOCK_RULE_SHADOW = "penstock.rule.shadow"
PENSTOCK_LIMIT_DENIALS = "penstock.limit.denials"
PENSTOCK_BUDGET_ALERTS = "penstock.budget.alerts"
PENSTOCK_BUDGET_FRACTION = "penstock.budget.fraction"

PENSTOCK_CACHE_ENTRIES = "penstock.cache.entries"
PENSTOCK_CACHE_SIZE = "penstock.cache.size"
PENSTOCK_CACHE_HITS = "penstock.cache.hits"
PENSTOCK_CACHE_MISSES = "penstock.cache.misses"
PENSTOCK_CACHE_JOINS = "penstock.cache.joins"
PENSTOCK_CACHE_EVICTIONS = "penstock.cache.evictions"

CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 600)
"""Histogram bounds for calls that wait for models, in seconds."""
