"""The names in the environment, and the settings they set."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from penstockd.config.address import anchored
from penstockd.config.assignment import Assignment
from penstockd.config.context import Context
from penstockd.config.errors import ConfigError, Mistake, nearest
from penstockd.config.places import keep_private, read_text, refuse_home
from penstockd.config.spelled_out import SPELLED_OUT, setting_named
from penstockd.config.tree import Tree, branch
from penstockd.config.yaml_text import NotYaml, parse_yaml

SETTINGS: Final = {
    "ENVIRONMENT": ("environment",),
    "LLM_API_KEY": ("models", "llm", "api_key"),
    "LLM_BASE_URL": ("models", "llm", "base_url"),
    "LLM_MODEL": ("models", "llm", "model"),
    "MAX_RETRIES": ("retry", "max_attempts"),
    "TIMEOUT_SECONDS": ("server", "default_timeout"),
    "CACHE_ENABLED": ("cache", "enabled"),
    "LOG_LEVEL": ("log", "level"),
    "PENSTOCK_LISTEN": ("server", "listen"),
    "PENSTOCK_ADMIN_LISTEN": ("admin", "listen"),
    "PENSTOCK_STATE_DIR": ("state_dir",),
    "REDIS_URL": ("redis_url",),
    "DATABASE_URL": ("database_url",),
    "PENSTOCK_KEY_PEPPER": ("key_pepper",),
}
NAMES: Final = (*SETTINGS, "PENSTOCK_CONFIG")
_SECRETS: Final = ("LLM_API_KEY", "REDIS_URL", "DATABASE_URL", "PENSTOCK_KEY_PEPPER")
_LLM: Final = {"provider": "openai", "base_url": "https://api.openai.com/v1", "model": "gpt-4"}
OF_THE_CLIENT: Final = ("PENSTOCK_TARGET", "PENSTOCK_API_KEY", "PENSTOCK_ADMIN", "PENSTOCK_ADMIN_TOKEN")
_PREFIX: Final = "PENSTOCK_"
_OF_KUBERNETES: Final = re.compile(  # what it sets in every pod beside a Service whose name begins with "penstock"
    r"PENSTOCK_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)",
    re.ASCII,
)


class Environment:
    """The variables that concern us. `errors` has what is wrong with them, `notes` what people should be told.

    An empty variable counts as unset; an empty file that one names is a mistake.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.errors: list[ConfigError] = []
        self.notes: list[str] = []
        self._environ = {name: value for name, value in environ.items() if value}
        self._fixed: dict[str, str] = {}
        self._files: dict[str, Path] = {}
        for name in NAMES:
            self._look_up(name)
        for name in self._environ:
            with self._noting(name):
                _refuse_unknown(name)

    def get(self, name: str) -> str | None:
        """The value of one of the fixed names, perhaps out of the file that NAME_FILE names."""
        return self._fixed.get(name)

    def origin(self, name: str) -> str:
        """The variable that says what `name` is: itself or NAME_FILE."""
        return f"{name}_FILE" if name in self._files else name

    @property
    def has_llm(self) -> bool:
        """Whether the environment alone describes a model."""
        return "LLM_API_KEY" in self._fixed or "LLM_BASE_URL" in self._fixed

    def assignments(self, tree: Tree, fill: Callable[[object, tuple[str, ...], str], object]) -> list[Assignment]:
        """What the environment sets in `tree`: by names that spell a setting out, and what these leave to fixed names.

        `fill` fills in references, which the former may have as the file has.
        """
        spelled_out: list[Assignment] = []
        names = [name for name in self._environ if name.startswith(SPELLED_OUT)]
        for name in sorted(names, key=lambda name: (name.count("__"), name)):  # a section before what is in it
            with self._noting(name):
                path = setting_named(name, tree)
                spelled_out.append(Assignment(path, fill(_yaml(self._environ[name]), path, name), name))
                tree = spelled_out[-1].laid_over(tree)
        fixed = self._by_fixed_names(llm=branch(tree, "models", "llm"))
        return [*spelled_out, *(each for each in fixed if not any(its.says(each.path) for its in spelled_out))]

    def check_files(self, context: Context) -> None:
        """Look at who may read the files that secrets came from."""
        for name in (name for name in _SECRETS if name in self._files):
            with self._noting(self.origin(name)):
                keep_private(self._files[name], context)

    def _by_fixed_names(self, *, llm: Tree) -> list[Assignment]:
        """`llm` is what all others say of the model of that name."""
        found: list[Assignment] = []
        if self.has_llm and "provider" not in llm:
            missing = [name for name in _LLM if name not in llm]
            found += [
                Assignment(("models", "llm", name), _LLM[name], "LLM_API_KEY or LLM_BASE_URL") for name in missing
            ]
        elif "provider" not in llm and self._fixed.pop("LLM_MODEL", ""):
            self.notes.append("LLM_MODEL: has no effect without LLM_API_KEY or LLM_BASE_URL")
        for name in (name for name in SETTINGS if name in self._fixed):
            with self._noting(self.origin(name)):
                found.append(Assignment(SETTINGS[name], _meaning(name, self._fixed[name]), self.origin(name)))
        return found

    def _look_up(self, name: str) -> None:
        value, file = self._environ.get(name), self._environ.get(f"{name}_FILE")
        with self._noting(name if value else f"{name}_FILE"):
            if value and file:
                raise Mistake(f"is set, and {name}_FILE too: set one of them")
            if file:
                value = _line_of(Path(file), meant="PENSTOCK_CONFIG" if name == "PENSTOCK_CONFIG" else None)
                self._files[name] = Path(file)
            if value:
                self._fixed[name] = value

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        try:
            yield
        except Mistake as mistake:
            self.errors.append(ConfigError(name, mistake.message, mistake.suggestion))


def _meaning(name: str, text: str) -> object:
    match name:
        case "MAX_RETRIES":
            if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
                raise Mistake("must be a whole number: how often a call is repeated")
            return int(text) + 1
        case "TIMEOUT_SECONDS":
            if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
                raise Mistake("must be a plain number of seconds, such as 30")
            return f"{text}s"
        case "PENSTOCK_STATE_DIR":
            refuse_home(text)
            return str(Path(text).absolute())
        case "PENSTOCK_LISTEN":
            return anchored(text)
        case _:
            return text


def _line_of(file: Path, *, meant: str | None) -> str:
    """What the file says, which is never repeated: it may be secret."""
    text = read_text(file).strip()
    if not text:
        raise Mistake(f"{file} is empty")
    if not text.isprintable():
        raise Mistake(f"{file} must have one line of plain text in it", meant)
    return text


def _yaml(text: str) -> object:
    try:
        return parse_yaml(text)
    except NotYaml as error:
        raise Mistake(f"is not YAML ({error.problem}); put text in quotes") from error


def _refuse_unknown(name: str) -> None:
    if not name.startswith(_PREFIX) or name.startswith(SPELLED_OUT) or name in OF_THE_CLIENT:
        return
    known = [*NAMES, *(f"{each}_FILE" for each in NAMES)]
    if name not in known and not _OF_KUBERNETES.fullmatch(name):
        bare = name.removeprefix(_PREFIX)
        raise Mistake("is no name that Penstock reads", bare if bare in known else nearest(name, known))
