"""Every mistake is found at once and said so that it can be put right."""

import pytest

from fakes.config_file import ConfigFile

POOL = "models: {a: {provider: echo}, b: {provider: echo}}\n"


def test_a_file_with_five_mistakes_prints_five_lines(config: ConfigFile) -> None:
    """Each with its path, and with a suggestion where one comes to mind."""
    lines = config.mistakes("""
        environment: prod
        models:
          fast: {provider: opnai, model: gpt-4o-mini, api_key: "${NOWHERE_SET}", timeouts: {conect: 2s}}
        agents:
          support: {route: {models: [fats]}}
    """)

    assert lines == [
        'agents.support.route.models[0]: there is no model "fats"; did you mean "fast"?',
        'environment: must be development or staging or production; did you mean "production"?',
        "models.fast.api_key: ${NOWHERE_SET} is not set in the environment",
        'models.fast.provider: must be openai, anthropic, echo or package.module:factory; did you mean "openai"?',
        'models.fast.timeouts.conect: unknown setting; did you mean "connect"?',
    ]


def test_a_file_that_is_no_yaml_says_where(config: ConfigFile) -> None:
    """Nothing else can be known then."""
    assert config.mistakes("log: {level: INFO}\nlog: {}") == [f'{config.path}:2:1: "log" is given twice']


def test_a_file_that_is_no_yaml_does_not_hide_the_environment(config: ConfigFile) -> None:
    """What is wrong with that is known all the same."""
    lines = config.mistakes("a: b: c", {"MAX_RETRIES": "x", "PENSTOCK_LISTN": "h:1", "PENSTOCK__LOG__LEVEL": "${NO}"})

    assert [line.partition(": ")[0] for line in lines] == [
        f"{config.path}:1:5",
        "MAX_RETRIES",
        "PENSTOCK_LISTN",
        "log.level",
    ]


def test_a_reference_among_braces_is_to_be_quoted(config: ConfigFile) -> None:
    """YAML takes its brace for one of its own, and would not say so."""
    [line] = config.mistakes("models: {a: {provider: echo, api_key: ${KEY}, model: m}}", {"KEY": "k"})

    assert line.endswith("; put ${…} in quotes inside { } and [ ]")


def test_an_empty_variable_is_not_a_missing_one(config: ConfigFile) -> None:
    """Its name is right, so that no other one is suggested."""
    [line] = config.mistakes("log: {format: '${KEY}'}", {"KEY": "", "KEYS": "x"})

    assert line == "log.format: ${KEY} is empty in the environment"


def test_a_variable_that_is_not_utf_8_is_a_mistake(config: ConfigFile) -> None:
    """Python reads its bytes as halves of characters, which no answer could carry."""
    [line] = config.mistakes("agents: {a: {instructions: '${LATIN}'}}", {"LATIN": "caf\udce9"})

    assert line == "agents.a.instructions: ${LATIN} is not UTF-8 in the environment"


def test_a_text_with_several_mistakes_is_one_line(config: ConfigFile) -> None:
    """Which says each of them once, and none that follows from them."""
    lines = config.mistakes(
        "log: {format: '${', level: '${NO} ${a-b} ${NO} ${TEEM}'}", {"TEAM": "a", "PENSTOCK__LOG__LEVEL": "${X}"}
    )

    begin, unset = "${ must begin ${NAME}; write $${ for the two characters themselves", "is not set in the environment"
    assert lines == [
        f"log.format: {begin}",
        f'log.level: ${{NO}} {unset}; {begin}; ${{TEEM}} {unset}; did you mean "TEAM"?',
        f"log.level: ${{X}} {unset} (from PENSTOCK__LOG__LEVEL)",
    ]


def test_a_url_that_begins_almost_right_is_suggested(config: ConfigFile) -> None:
    """As others write it; without what follows, which may be secret."""
    [line] = config.mistakes("database_url: 'postgres://u:hunter2@h/db'")

    assert line.endswith('begins with sqlite:// or postgresql://; did you mean "postgresql://"?')
    assert "hunter2" not in line


def test_a_file_must_be_a_map(config: ConfigFile) -> None:
    """A list configures nothing."""
    assert config.mistakes("[a]") == [f"{config.path}: must be a map of settings"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("modells: {}", 'modells: unknown setting; did you mean "models"?'),
        ("modles:", 'modles: unknown setting; did you mean "models"?'),
        ("servr: ~", 'servr: unknown setting; did you mean "server"?'),
        ("server: {lisen: }", 'server.lisen: unknown setting; did you mean "listen"?'),
        ("models: {a: {provider: echo, timeouts: {conect: }}}", "models.a.timeouts.conect: unknown setting; did"),
        ("warnings: [a]", "warnings: unknown setting"),
        (
            "models: {Fast: {provider: echo}}",
            'models.Fast: a name is made of a-z, 0-9, ".", "_" and "-", begins with a',
        ),
        ("models: {a: {provider: echo}, -b: {provider: echo}}", "models.-b: a name is made of"),
        ("models: {a: {}}", "models.a.provider: required"),
        ("models: {a: [b]}", "models.a: must be a map of settings"),
        ("models: [a]", "models: must be a map"),
        ("models: [a]\nagents: {x: {route: {models: [a]}}}", "models: must be a map"),
        ("agents: [a]", "agents: must be a map"),
        ("models: {a: {provider: openai, api_key: k}}", "models.a.model: required: the model's name upstream"),
        ("models: {a: {provider: openai, model: 4, api_key: k}}", "models.a.model: must be text; put it in quotes"),
        ("models: {a: {provider: openai, model: m}}", "models.a.api_key: required by the provider openai, unless"),
        ("models: {a: {provider: anthropic, model: m}}", "models.a.api_key: required by the provider anthropic"),
        ("models: {a: {provider: echo, api_key: 12}}", "models.a.api_key: must be text in quotes, or {file: PATH}"),
        ("models: {a: {provider: echo, api_key: {file: x, y: z}}}", "models.a.api_key: must be text in quotes"),
        ("models: {a: {provider: echo, api_key: ''}}", "models.a.api_key: must be one line of text"),
        ('models: {a: {provider: echo, api_key: "x\\ny"}}', "models.a.api_key: must be one line of text"),
        ("models: {a: {provider: echo, api_key: {file: x}}}", "models.a.api_key: cannot read "),
        (
            "models: {a: {provider: echo, base_url: 'ftp://h'}}",
            "models.a.base_url: must be a URL that begins with http://",
        ),
        (
            "models: {a: {provider: echo, base_url: 'http://'}}",
            "models.a.base_url: must be a URL that begins with http://",
        ),
        ("models: {a: {provider: echo, base_url: 'http://h:x'}}", "models.a.base_url: must be a URL with a host and"),
        ("models: {a: {provider: echo, base_url: 'http://u:p@h'}}", "models.a.base_url: must not have credentials"),
        ("models: {a: {provider: echo, base_url: 'http://h/?k=v'}}", "models.a.base_url: must end with its path"),
        (
            "models: {a: {provider: echo, proxy: 'socks5://h'}}",
            "models.a.proxy: must be a URL that begins with http://",
        ),
        ("models: {a: {provider: echo, price: {input: 1}}}", "models.a.price.output: required"),
        ("models: {a: {provider: echo, price: {input: x, output: 1}}}", "models.a.price.input: must be an amount"),
        ("models: {a: {provider: echo, headers: {'a b': c}}}", "models.a.headers.a b: is no name of an HTTP header"),
        (
            "models: {a: {provider: echo, max_tokens_field: a.b}}",
            "models.a.max_tokens_field: must be the name of a field",
        ),
        ("models: {a: {provider: echo, body: {stream: true}}}", "models.a.body.stream: is set by Penstock itself"),
        (
            "models: {a: {provider: echo, max_tokens_field: most, body: {most: 1}}}",
            "models.a.body.most: is set by Penstock itself",
        ),
        ("models: {a: {provider: echo, body: {penalty: [1e999]}}}", "models.a.body.penalty: must be JSON"),
        ("models: {a: {provider: echo, body: [effort]}}", "models.a.body: must be a map"),
        ("models: {a: {provider: echo, max_in_flight: 0}}", "models.a.max_in_flight: must be at least 1"),
        ("models: {a: {provider: echo, max_in_flight: true}}", "models.a.max_in_flight: must be a number"),
        (
            "models: {a: {provider: echo, max_in_flight: 99999999999999999999}}",
            "models.a.max_in_flight: must be a whole number of at most 19 digits",
        ),
        (
            "models: {a: {provider: echo, max_in_flight: 9999999999999999999}}",
            "models.a.max_in_flight: must be less than 2147483648",
        ),
        ("models: {a: {provider: echo, max_in_flight: 1.5}}", "models.a.max_in_flight: must be a whole number"),
        ("models: {a: {provider: echo, timeouts: {idle: 0s}}}", "models.a.timeouts.idle: must be more than 0"),
        ("models: {a: {provider: echo, ca: 5}}", "models.a.ca: must be a path"),
        ("models: {a: {provider: echo, ca: nowhere}}", "models.a.ca: cannot read "),
        ("state_dir: ~/state", "state_dir: must be spelled out: ~ is the name of a directory here"),
        ("retry: {base_delay: 20s}", "retry.max_delay: must not be shorter than base_delay"),
        ("retry: {budget: 2}", "retry.budget: must be at most 1"),
        ("retry: {budget: .nan}", "retry.budget: must be a number"),
        ("circuit_breaker: {max_open_for: 1s}", "circuit_breaker.max_open_for: must not be shorter than open_for"),
        ("circuit_breaker: {failure_rate: 0}", "circuit_breaker.failure_rate: must be more than 0"),
        ("log: {level: verbose}", "log.level: must be DEBUG or INFO or WARNING"),
        ("log: {level: 5}", "log.level: must be DEBUG or INFO or WARNING"),
        ("log: {format: jsn}", 'log.format: must be auto or json or pretty; did you mean "json"?'),
        ("cache: {enabled: 5}", "cache.enabled: must be true or false"),
        ("server: {tls: {cert: /dev/null}}", "server.tls.key: required"),
        ("server: {listen: x}", "server.listen: must be HOST:PORT"),
        ("server: {max_message_bytes: 2GiB}", "server.max_message_bytes: must be at most 2147483647"),
        ("admin: {listen: 'unix:/s'}", "admin.listen: must be HOST:PORT: there is no unix socket for HTTP"),
        ("admin: {listen: '0.0.0.0:1'}", "admin.listen: beyond loopback admin.token is required"),
        ("log: {format: '${'}", "log.format: ${ must begin ${NAME}; write $${"),
        ("log: {format: '${a-b}'}", "log.format: ${ must begin ${NAME}; write $${"),
    ],
)
def test_a_mistake_is_one_line(config: ConfigFile, text: str, line: str) -> None:
    """It names the path and what must be there instead."""
    [found] = config.mistakes(text)

    assert found.startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("default_agent: x\nagents: {y: {route: {models: [a]}}}", 'default_agent: there is no agent "x"'),
        ("default_agent: 5", "default_agent: must be text; put it in quotes"),
        (
            "agents: {x: {route: {models: [a]}}, y: {route: {models: [a]}}}",
            "default_agent: required, because there are several agents",
        ),
        ("agents: {x: {}}", "agents.x.route: required, because there is more than one model"),
        (
            "agents: {x: {route: cheep}}\nroutes: {cheap: {models: [a]}}",
            'agents.x.route: there is no route "cheep"; did',
        ),
        ("agents: {x: {route: r}}\nroutes: {r: {models: [c]}}", 'routes.r.models[0]: there is no model "c"'),
        ("agents: {x: {route: {models: [a, a]}}}", 'agents.x.route.models: "a" is given twice'),
        ("agents: {x: {route: {models: []}}}", "agents.x.route.models: must name at least one model"),
        ("agents: {x: {route: {models: 5}}}", "agents.x.route.models: must be a list"),
        ("agents: {x: {route: {models: {a: 1}}}}", "agents.x.route.models: must be a list, such as"),
        ("agents: {x: {route: {strategy: weighted, models: [a]}}}", "agents.x.route.models: must be a map of weights"),
        ("agents: {x: {route: {strategy: weighted, models: {a: 0}}}}", "agents.x.route.models.a: must be more than 0"),
        (
            "agents: {x: {route: {strategy: weighted, models: {c: 1}}}}",
            'agents.x.route.models.c: there is no model "c"',
        ),
        ("agents: {x: {route: {strategy: fastest, models: [a]}}}", "agents.x.route.strategy: must be priority or"),
        ("agents: {x: {route: {models: [a]}, python: a}}", 'agents.x.python: must be spelled "package.module:name"'),
        (
            "agents: {x: {route: {models: [a]}, python: 'a:b', instructions: c}}",
            "agents.x.python: excludes instructions",
        ),
        ("agents: {x: {route: {models: [a]}, cache: on}}", "agents.x.cache: must be off, or a map"),
        (
            "agents: {x: {route: {models: [a]}, cache: {tl: 5m}}}",
            'agents.x.cache.tl: unknown setting; did you mean "ttl"?',
        ),
        (
            "agents: {x: {route: {models: [a]}, parameters: {temperature: 2.1}}}",
            "agents.x.parameters.temperature: must be at most 2",
        ),
        (
            "agents: {x: {route: {models: [a]}, parameters: {top_p: 0}}}",
            "agents.x.parameters.top_p: must be more than 0",
        ),
        (
            "agents: {x: {route: {models: [a]}, parameters: {stop: [a, b, c, d, e]}}}",
            "agents.x.parameters.stop: must have at most 4 entries",
        ),
        (
            "agents: {x: {route: {models: [a]}, parameters: {stop: ['']}}}",
            "agents.x.parameters.stop[0]: must not be empty",
        ),
    ],
)
def test_a_mistake_about_agents_is_one_line(config: ConfigFile, text: str, line: str) -> None:
    """With two models in the pool."""
    [found] = config.mistakes(POOL + text)

    assert found.startswith(line)


def test_a_mistake_does_not_show_a_secret(config: ConfigFile) -> None:
    """Not even where the secret is what is wrong."""
    lines = config.mistakes("""
        models: {m: {provider: echo, api_key: "hunter2\\n", proxy: "hunter2://h"}}
        admin: {token: [hunter2]}
        key_pepper: {file: "-----BEGIN KEY-----\\nhunter2\\n"}
    """)

    assert len(lines) == 4
    assert "hunter2" not in "".join(lines)
