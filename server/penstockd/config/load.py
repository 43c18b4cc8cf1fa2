"""Reads the configuration: command line over environment over file over defaults."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from penstockd.config.address import anchored
from penstockd.config.assignment import Assignment
from penstockd.config.complete import complete
from penstockd.config.context import Context
from penstockd.config.document import read_document
from penstockd.config.environment import Environment
from penstockd.config.errors import ConfigErrors
from penstockd.config.messages import explain
from penstockd.config.nulls import without_nulls
from penstockd.config.settings import Settings
from penstockd.config.substitution import Substitution
from penstockd.config.tree import Tree, branch


def load(*, path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """The effective configuration; raises ConfigErrors, which has every mistake at once.

    Without `path` the file is the one that PENSTOCK_CONFIG names, if any. `flags` are settings by their dotted paths,
    such as `server.listen`; None counts as not given.
    """
    environment = Environment(environ)
    file = path or _named_by(environment)
    substitution = Substitution(environ)
    try:
        document = read_document(file, "--config" if path else environment.origin("PENSTOCK_CONFIG")) if file else {}
        tree = substitution.fill(document)
    except ConfigErrors as unread:
        environment.assignments({}, substitution.fill_setting)  # for what is wrong with them
        raise ConfigErrors([*unread.errors, *environment.errors, *substitution.errors]) from unread
    assignments = [*environment.assignments(tree, substitution.fill_setting), *_assignments(flags)]
    for assignment in assignments:
        tree = assignment.laid_over(tree)
    tree = without_nulls(tree, Settings)
    notes = [*environment.notes, *complete(tree, has_llm=environment.has_llm, state_home=_state_home(environ))]
    context = _context(tree, file, document, notes)
    environment.check_files(context)
    errors = [*environment.errors, *substitution.errors]
    try:
        settings = Settings.model_validate(tree, context=context)
    except ValidationError as error:
        said = {each.path for each in errors}
        errors += [each for each in explain(error, assignments) if each.path not in said]
        raise ConfigErrors(errors) from None
    if errors:
        raise ConfigErrors(errors)
    return settings


def config_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file that `load` reads: `path`, else the one that PENSTOCK_CONFIG names, if any."""
    return path or _named_by(Environment(environ))


def _named_by(environment: Environment) -> Path | None:
    named = environment.get("PENSTOCK_CONFIG")
    return Path(named) if named else None


def _assignments(flags: Mapping[str, object]) -> list[Assignment]:
    return [
        Assignment(tuple(path.split(".")), anchored(value) if isinstance(value, str) else value, "the command line")
        for path, value in flags.items()
        if value is not None
    ]


def _context(tree: Tree, file: Path | None, document: Tree, notes: list[str]) -> Context:
    return Context(
        base=file.absolute().parent if file else Path.cwd(),
        file=file,
        document=document,
        environment=str(tree.get("environment", "development")),
        models=branch(tree, "models"),
        routes=branch(tree, "routes"),
        agents=branch(tree, "agents"),
        tenants=branch(tree, "tenants"),
        notes=notes,
    )


def _state_home(environ: Mapping[str, str]) -> str:
    """Where state lives by the XDG base directory specification; a system's place for it where there is no home."""
    named, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME")
    if named.startswith("/"):
        return named
    return f"{home}/.local/state" if home else "/var/lib"
