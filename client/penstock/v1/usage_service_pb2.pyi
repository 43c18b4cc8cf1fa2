import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetUsageRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "agent", "model", "start_time", "end_time")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    agent: str
    model: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., agent: _Optional[str] = ..., model: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("total", "by_agent", "by_model", "by_user", "budgets")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BY_AGENT_FIELD_NUMBER: _ClassVar[int]
    BY_MODEL_FIELD_NUMBER: _ClassVar[int]
    BY_USER_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    total: UsageTotals
    by_agent: _containers.RepeatedCompositeFieldContainer[UsageBreakdown]
    by_model: _containers.RepeatedCompositeFieldContainer[UsageBreakdown]
    by_user: _containers.RepeatedCompositeFieldContainer[UsageBreakdown]
    budgets: _containers.RepeatedCompositeFieldContainer[BudgetState]
    def __init__(self, total: _Optional[_Union[UsageTotals, _Mapping]] = ..., by_agent: _Optional[_Iterable[_Union[UsageBreakdown, _Mapping]]] = ..., by_model: _Optional[_Iterable[_Union[UsageBreakdown, _Mapping]]] = ..., by_user: _Optional[_Iterable[_Union[UsageBreakdown, _Mapping]]] = ..., budgets: _Optional[_Iterable[_Union[BudgetState, _Mapping]]] = ...) -> None: ...

class UsageTotals(_message.Message):
    __slots__ = ("requests", "input_tokens", "output_tokens", "cost_nanousd", "cost_estimated_nanousd", "wasted_nanousd")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    COST_ESTIMATED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    WASTED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nanousd: int
    cost_estimated_nanousd: int
    wasted_nanousd: int
    def __init__(self, requests: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cost_nanousd: _Optional[int] = ..., cost_estimated_nanousd: _Optional[int] = ..., wasted_nanousd: _Optional[int] = ...) -> None: ...

class UsageBreakdown(_message.Message):
    __slots__ = ("name", "totals")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    name: str
    totals: UsageTotals
    def __init__(self, name: _Optional[str] = ..., totals: _Optional[_Union[UsageTotals, _Mapping]] = ...) -> None: ...

class BudgetState(_message.Message):
    __slots__ = ("subject", "rule", "limit_nanousd", "spent_nanousd", "held_nanousd", "reset_time", "shadow")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    subject: str
    rule: str
    limit_nanousd: int
    spent_nanousd: int
    held_nanousd: int
    reset_time: _timestamp_pb2.Timestamp
    shadow: bool
    def __init__(self, subject: _Optional[str] = ..., rule: _Optional[str] = ..., limit_nanousd: _Optional[int] = ..., spent_nanousd: _Optional[int] = ..., held_nanousd: _Optional[int] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shadow: bool = ...) -> None: ...
