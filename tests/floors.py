"""The daemon's floors, and what crosses them: the walk behind tests/server/test_floors.py."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

PACKAGE = "penstockd"

FLOORS = (
    {"__init__", "clock", "conventions", "errors"},
    {"resilience"},
    {
        "agent",
        "answer_keys",
        "answers",
        "api_key",
        "budgets",
        "call",
        "changes",
        "foreign_tasks",
        "identity",
        "keyed_answers",
        "ledger",
        "limits",
        "logs",
        "metadata",
        "metrics",
        "model",
        "outcome",
        "period",
        "principal",
        "reconciliation",
        "reference",
        "request",
        "request_id",
        "rules",
        "span",
        "tracing",
        "under_way",
        "frames",
        "upstream",
        "usage",
    },
    {"agents", "interceptors", "models", "stores"},
    {"endpoint", "grpc_adapter", "grpc_replies", "messages", "mistakes", "running", "service", "services", "status"},
    {
        "admin",
        "certificate_expiry",
        "circuit_watch",
        "exporters",
        "gauges",
        "grpc_server",
        "health",
        "health_servicer",
        "ledger_watch",
        "lifecycle",
        "listener",
        "loop_watch",
        "page",
        "reflection",
        "signals",
        "snapshot",
        "tls",
        "upkeep",
    },
    {
        "__main__",
        "app",
        "builders",
        "cli",
        "config",
        "invitation",
        "reload",
        "restart",
        "runtime",
        "serve",
        "state",
        "succession",
    },
)
# Floor 2 is one vocabulary, 4 one edge, 5 one life and 6 one composition root, each split by noun: their files may
# import each other, though never in a circle. On the other floors, parts meet only through a floor below.
FLOORS_OF_SIBLINGS = {2, 4, 5, 6}

SPEAKS_GRPC = {
    "grpc_adapter",
    "grpc_replies",
    "grpc_server",
    "health_servicer",
    "listener",
    "reflection",
    "serve",
    "tls",
}
READS_ENVIRONMENT = {"config", "cli"}  # the command hands os.environ to config, which alone looks inside
IMPURE = {"asyncio", "grpc", "logging", "time"}  # what a state machine of resilience/ has no business with


class Import(NamedTuple):
    """One import: the file that makes it, below the tree, its line, and the dotted name it brings in."""

    file: Path
    line: int
    name: str

    @property
    def root(self) -> str:
        """The outermost package of the name."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


def crossings(tree: Path) -> list[str]:
    """Every import of the tree that goes up, sideways or in a circle, and every module that stands on no floor."""
    floors = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
    homeless = {unit_of(file.relative_to(tree)) for file in tree.rglob("*.py")} - floors.keys()
    if homeless:
        remedy = "stands on no floor: name it in FLOORS of tests/floors.py, on the lowest floor above all it imports"
        return [f"{unit} {remedy}" for unit in sorted(homeless)]

    found = []
    circles: dict[str, set[str]] = {}
    for each in imports(tree):
        if each.root != PACKAGE:
            continue
        target = module_of(tree, each.name)
        here, there = unit_of(each.file), target.partition(".")[0]
        if here == there:
            circles.setdefault(dotted(each.file), set()).add(target)
        elif floors[here] < floors[there]:
            found.append(f"{each}: floor {floors[here]} from floor {floors[there]}")
        elif floors[here] > floors[there]:
            continue
        elif floors[here] in FLOORS_OF_SIBLINGS:
            circles.setdefault(here, set()).add(there)
        else:
            found.append(f"{each}: siblings of floor {floors[here]}")
    return found + circle(circles)


def strays(tree: Path) -> list[str]:
    """Every import of something outside that its place forbids, and every look at the environment outside config."""
    found = []
    for each in imports(tree):
        unit = unit_of(each.file)
        if unit == "resilience" and each.root in IMPURE:
            found.append(f"{each}: not in resilience/")
        elif each.root.startswith("grpc") and unit not in SPEAKS_GRPC:
            found.append(f"{each}: gRPC stays at the edge")
    return found + [
        f"{file}:{line} reads the environment"
        for file, line in looks_at_environment(tree)
        if unit_of(file) not in READS_ENVIRONMENT
    ]


def imports(tree: Path) -> Iterator[Import]:
    """Every import of every file, wherever in the file it stands."""
    for file, node in nodes(tree):
        match node:
            case ast.Import():
                yield from (Import(file, node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                origin = (PACKAGE, *file.parts)[: -node.level] if node.level else ()
                module = ".".join((*origin, *filter(None, [node.module])))
                yield from (Import(file, node.lineno, f"{module}.{alias.name}") for alias in node.names)


def looks_at_environment(tree: Path) -> Iterator[tuple[Path, int]]:
    """Every place that names os.environ or os.getenv, or imports one of them."""
    for file, node in nodes(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv" | "getenvb"):
                yield file, node.lineno
            case ast.ImportFrom(module="os") if {alias.name for alias in node.names} & {"environ", "getenv"}:
                yield file, node.lineno


def nodes(tree: Path) -> Iterator[tuple[Path, ast.AST]]:
    """Every syntax node of every file, with the file's path below the tree."""
    for path in sorted(tree.rglob("*.py")):
        for node in ast.walk(syntax(path)):
            yield path.relative_to(tree), node


def syntax(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    text = path.read_text(encoding="utf-8")
    try:
        return ast.parse(text)
    except SystemError:
        # Python 3.11 counts for all threads at once how deep it is, and one that formats a traceback parses, too.
        return ast.parse(text)


def unit_of(file: Path) -> str:
    """The top-level module or folder a file belongs to: what stands on a floor."""
    return Path(file.parts[0]).stem


def dotted(file: Path) -> str:
    """The file's module name below the package; a folder's `__init__.py` keeps its name."""
    return ".".join(file.with_suffix("").parts)


def module_of(tree: Path, name: str) -> str:
    """The module below the package that a dotted name of ours lies in, by the files that exist."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        path = tree.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file():
            return ".".join(parts[:length])
        if path.is_dir():
            return ".".join([*parts[:length], "__init__"])
    return parts[0] if parts and parts[0] in set().union(*FLOORS) else "__init__"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The first circle of imports, as a complaint, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"imports in a circle: {', '.join(sorted(set(error.args[1])))}"]
    return []
