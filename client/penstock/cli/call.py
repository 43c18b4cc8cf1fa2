"""`penstock call`: asks an agent."""

import sys
from argparse import Namespace

from penstock.cli import daemon, terminal
from penstock.cli.account import account
from penstock.request import Options
from penstock.sync_client import SyncAgentClient
from penstock.v1.agent_service_pb2 import Completed, Delta, FinishReason, ProcessResponse, ProcessStreamResponse

_CUT = "the answer is not whole: it was cut at max_output_tokens, or at the model's own limit"


def run(chosen: Namespace) -> int:
    """Print the answer, and to people what it took."""
    text = sys.stdin.read() if chosen.text == "-" else chosen.text
    options: Options = {
        "agent": chosen.agent,
        "user_id": chosen.user,
        "max_output_tokens": chosen.max_output_tokens,
        "temperature": chosen.temperature,
        "cache": chosen.cache,
        "labels": dict(chosen.labels),
    }
    with daemon.client(chosen) as client:
        if chosen.stream:
            response = _stream(client, text, options, is_json=chosen.json)
        else:
            response = _process(client, text, options, is_json=chosen.json)
    if not chosen.json:
        if response.finish_reason == FinishReason.FINISH_REASON_LENGTH:
            terminal.complain(_CUT)
        terminal.note(account(response))
    return 0


def _process(client: SyncAgentClient, text: str, options: Options, *, is_json: bool) -> ProcessResponse:
    response = client.process(text, **options)
    if is_json:
        terminal.write_json(response)
    else:
        terminal.write(_whole_line(response.output))
    return response


def _stream(client: SyncAgentClient, text: str, options: Options, *, is_json: bool) -> ProcessResponse:
    with client.stream(text, **options) as stream:
        for piece in stream:
            if is_json:
                terminal.write_json(ProcessStreamResponse(delta=Delta(text=piece)))
            else:
                terminal.write(piece)
    if is_json:
        terminal.write_json(ProcessStreamResponse(completed=Completed(response=stream.response)))
    else:
        terminal.write(_whole_line(stream.response.output)[len(stream.response.output) :])
    return stream.response


def _whole_line(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
