"""What is served with less than a whole configuration: the pool, and the agent in front of it."""

from typing import Final

from penstockd.config.tree import Tree, branch

ECHO_ALONE: Final = "no model is configured: serving the built-in echo model; set LLM_API_KEY, or models in the file"


def complete(tree: Tree, *, has_llm: bool, state_home: str) -> list[str]:
    """Add to `tree` what it does not say of pool, agents, server and state; return what people should be told."""
    warnings = [] if tree.get("models") else [ECHO_ALONE]
    if warnings:
        tree["models"] = {"echo": {"provider": "echo"}}
    if not tree.get("agents"):
        models = ["llm"] if has_llm else list(branch(tree, "models"))
        tree["agents"] = {"default": {"route": {"models": models}} if models else {}}
    tree.setdefault("server", {})
    tree.setdefault("state_dir", f"{state_home}/penstock")
    return warnings
