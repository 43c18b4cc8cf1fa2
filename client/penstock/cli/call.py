"""`penstock call`: asks an agent."""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence

from penstock.cli import daemon, terminal
from penstock.cli.account import account
from penstock.connection import Connection
from penstock.fold import Fold
from penstock.request import Options
from penstock.sync_client import SyncAgentClient
from penstock.v1.agent_service_pb2 import FinishReason, ProcessResponse, ProcessStreamRequest
from penstock.v1.agent_service_pb2_grpc import AgentServiceStub

_CUT = "the answer is not whole: it was cut at max_output_tokens, or at the model's own limit"


def run(chosen: Namespace) -> int:
    """Print the answer, and to people what it took."""
    text = _text(chosen.text)
    options: Options = {
        "agent": chosen.agent,
        "user_id": chosen.user,
        "max_output_tokens": chosen.max_output_tokens,
        "temperature": chosen.temperature,
        "cache": chosen.cache,
        "labels": _labels(chosen.labels),
    }
    if chosen.stream and chosen.json:
        return _events(daemon.connection(chosen), text, options)
    with daemon.client(chosen) as client:
        if chosen.stream:
            response = _stream(client, text, options)
        else:
            response = _process(client, text, options, is_json=chosen.json)
    if not chosen.json:
        if response.finish_reason == FinishReason.FINISH_REASON_LENGTH:
            terminal.complain(_CUT)
        terminal.note(account(response))
    return 0


def _text(typed: str) -> str:
    """What to ask; raises ValueError for bytes that are not UTF-8, wherever they come from."""
    try:
        text = sys.stdin.read() if typed == "-" else typed
        text.encode()
    except UnicodeError as error:
        raise ValueError("the text to ask is not UTF-8") from error
    return text


def _labels(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    labels = dict(pairs)
    if len(labels) < len(pairs):
        raise ValueError("--label: a key has one value, and one of them was given twice")
    return labels


def _process(client: SyncAgentClient, text: str, options: Options, *, is_json: bool) -> ProcessResponse:
    response = client.process(text, **options)
    if is_json:
        terminal.write_json(response)
    else:
        terminal.write(_whole_line(response.output))
    return response


def _stream(client: SyncAgentClient, text: str, options: Options) -> ProcessResponse:
    with client.stream(text, **options) as stream:
        for piece in stream:
            terminal.write(piece)
    terminal.write(_whole_line(stream.response.output)[len(stream.response.output) :])
    return stream.response


def _events(connection: Connection, text: str, options: Options) -> int:
    """Print each event of the stream as the contract has it; a stream that breaks still raises why."""
    call = connection.ask(ProcessStreamRequest, text, None, options)
    fold = Fold(call)
    with connection.way.open_sync() as channel, fold.errors():
        events = AgentServiceStub(channel).ProcessStream(call.request, timeout=call.timeout, metadata=call.metadata)
        for event in events:
            terminal.write_json(event)
            fold.add(event)
    fold.finish()
    return 0


def _whole_line(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
