"""Asks an agent from a plain program. Run a daemon first; PENSTOCK_TARGET says where."""

from penstock import RateLimited, SyncAgentClient

with SyncAgentClient() as client:
    for agent in client.list_agents():
        print(f"{agent.name}: {agent.description}")
    try:
        print(client.process("What is a penstock?", max_output_tokens=200).output)
    except RateLimited as error:
        print(f"Too fast: try again in {error.retry_after} s.")
