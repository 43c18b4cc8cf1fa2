"""`penstock agents`: lists the agents."""

from argparse import Namespace

from penstock.cli import daemon, terminal
from penstock.v1.agent_service_pb2 import ListAgentsResponse

_HEADER = ("AGENT", "MODELS", "STREAMS", "DESCRIPTION")


def run(chosen: Namespace) -> int:
    """Print the agents that the caller may use; a star marks the default one."""
    with daemon.onlooker(chosen) as client:
        agents = client.list_agents()
    if chosen.json:
        terminal.write_json(ListAgentsResponse(agents=agents))
        return 0
    rows = [
        (
            f"{agent.name}{' *' if agent.is_default else ''}",
            ", ".join(agent.models),
            "yes" if agent.streams else "no",
            agent.description,
        )
        for agent in agents
    ]
    terminal.write_lines(terminal.table(_HEADER, rows))
    return 0
