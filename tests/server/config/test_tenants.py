"""Who may call, as the configuration says it."""

from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from penstockd.api_key import SAMPLE_KEY, SAMPLE_PEPPER, digest
from penstockd.config import ConfigErrors, cautions, describe
from penstockd.config.new_key import new_key

MODEL = "models: {m: {provider: openai, base_url: 'http://h', model: m}}\n"
HASH, SECOND = "hmac-sha256:" + "0" * 64, "hmac-sha256:" + "1" * 64
PEPPER = {"PENSTOCK_KEY_PEPPER": "a-pepper-of-some-length"}
GUARDED = [{"ENVIRONMENT": "staging"}, {"ENVIRONMENT": "production"}]


def tenant(name: str, *keys: str, sans: str = "") -> str:
    """One line of `tenants`."""
    return f"  {name}: {{keys: [{', '.join(keys)}], sans: [{sans}]}}\n"


def key(name: str = "web", text: str = HASH, more: str = "") -> str:
    """One key."""
    return f"{{name: {name}, hash: '{text}'{more}}}"


def tenants(*lines: str) -> str:
    """A pool, and these tenants."""
    return MODEL + "tenants:\n" + "".join(lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            tenant("a", "{name: web, hash: x}"),
            "tenants.a.keys[0].hash: must be hmac-sha256: and 64 hex digits, as `pens",
        ),
        (
            tenant("a", key(text=HASH.upper())),
            "tenants.a.keys[0].hash: must be hmac-sha256: and 64 hex digits, as `pens",
        ),
        (tenant("a", key("We b")), "tenants.a.keys[0].name: a name is made of"),
        (tenant("a", key(more=", agents: [x]")), 'tenants.a.keys[0].agents[0]: there is no agent "x"'),
        (tenant("a", key(more=", agents: [model/x]")), 'tenants.a.keys[0].agents[0]: there is no model "x"'),
        (tenant("a", key(more=", role: root")), "tenants.a.keys[0].role: must be operator"),
        *(
            (
                tenant("a", key(more=f", expires: {written}")),
                "tenants.a.keys[0].expires: must be a date as YYYY-MM-DD, such as 2027-12-31",
            )
            for written in (
                "soon",
                "0",
                "20270101",
                "'20270101'",
                "2027-1-1",
                "2027-02-30",
                "2027-01-01T00:00:00",
                "[]",
            )
        ),
        (tenant("a", key(), key(text=HASH[:-1] + "1")), 'tenants.a.keys: "web" is given twice'),
        (tenant("a", key("x"), key("y")), "tenants: tenants.a.keys[1] repeats what tenants.a.keys[0] has"),
        (
            tenant("a", key()) + tenant("b", key()),
            "tenants: tenants.b.keys[0] repeats what tenants.a.keys[0] has",
        ),
        (tenant("a", sans="x, x"), 'tenants.a.sans: "x" is given twice'),
        (tenant("a", sans="''"), "tenants.a.sans[0]: must not be empty"),
        (tenant("a", sans="x") + tenant("b", sans="y, x"), "tenants: tenants.b.sans repeats what tenants.a.sans has"),
    ],
)
def test_who_calls_must_be_beyond_doubt(config: ConfigFile, text: str, line: str) -> None:
    """A key or a certificate that says two things says nothing."""
    [mistake] = config.mistakes(tenants(text), PEPPER)

    assert mistake.startswith(line)


def test_everything_that_is_given_twice_is_named(config: ConfigFile) -> None:
    """One look mends it all."""
    first = tenant("a", key("x", SECOND), key("y"), sans="s")

    [mistake] = config.mistakes(tenants(first, tenant("b", key(), sans="s"), tenant("c", key())), PEPPER)

    assert mistake == (
        "tenants: tenants.b.sans repeats what tenants.a.sans has; tenants.b.keys[0] repeats what tenants.a.keys[1] has"
        "; tenants.c.keys[0] repeats what tenants.a.keys[1] has"
    )


def test_keys_need_the_pepper_they_were_made_with(config: ConfigFile) -> None:
    """Else none of them would ever fit."""
    assert config.mistakes(tenants(tenant("a", key()))) == [
        "key_pepper: required, because there are keys: set PENSTOCK_KEY_PEPPER"
    ]


@pytest.mark.parametrize(
    "keys", [(key("We b"),), (key(text="x"), key("other")), ("5",), (key(more=", expires: soon"),), (key(), key())]
)
def test_keys_with_mistakes_of_their_own_need_it_too(config: ConfigFile, keys: tuple[str, ...]) -> None:
    """All at once means all."""
    _, line = sorted(config.mistakes(tenants(tenant("a", *keys))), key=lambda line: line.startswith("key_pepper"))

    assert line.startswith("key_pepper: required")


@pytest.mark.parametrize("text", ["tenants: 5", "tenants: {a: 5}", "tenants: {a: {keys: []}}", "tenants: {a: {}}"])
def test_without_keys_no_pepper_is_missed(config: ConfigFile, text: str) -> None:
    """Whatever else is wrong."""
    lines = config.mistakes(MODEL + "lag: {}\n" + text)

    assert [line for line in lines if "key_pepper" in line] == []


def test_the_pepper_may_stand_in_a_file_and_is_never_shown(config: ConfigFile, tmp_path: Path) -> None:
    """By either way of saying so."""
    (tmp_path / "pepper").write_text("hunter2-and-some-more\n", encoding="utf-8")
    (tmp_path / "pepper").chmod(0o600)

    settings = config.load(MODEL, {"PENSTOCK_KEY_PEPPER_FILE": str(tmp_path / "pepper")})
    same = config.load(MODEL + "key_pepper: {file: pepper}")

    assert settings.key_pepper == same.key_pepper
    assert settings.key_pepper is not None
    assert settings.key_pepper.reveal() == "hunter2-and-some-more"
    assert "key_pepper: '***'" in describe(settings)
    assert cautions(settings, 0.0) == ()


def test_names_in_certificates_without_certificates_are_noticed(config: ConfigFile) -> None:
    """They would never be asked for."""
    settings = config.load(tenants(tenant("a", sans="a.svc")))

    assert cautions(settings, 0.0) == ("tenants.a.sans: has no effect without server.tls.client_ca",)


def test_certificates_may_be_required(config: ConfigFile) -> None:
    """Of everybody at once."""
    tls = "server: {tls: {cert: /dev/null, key: /dev/null, client_ca: /dev/null}}"

    settings = config.load(tenants(tenant("a", sans="a.svc")) + tls)

    assert settings.server.requires_certificates
    assert cautions(settings, 0.0) == ()


@pytest.mark.parametrize("environ", GUARDED)
@pytest.mark.parametrize("pepper", [SAMPLE_PEPPER, "another"])
@pytest.mark.parametrize("made_with", [SAMPLE_PEPPER, "another"])
def test_the_sample_key_opens_nothing_where_strangers_are(
    config: ConfigFile, environ: dict[str, str], pepper: str, made_with: str
) -> None:
    """Whoever digested it with whatever pepper."""
    text = tenants(tenant("a", key(text=digest(made_with, SAMPLE_KEY))))

    [line] = config.mistakes(text, {**environ, "PENSTOCK_KEY_PEPPER": pepper})

    assert line.startswith("key_pepper: ")
    assert "the documentation's sample" in line
    assert config.load(text, {"PENSTOCK_KEY_PEPPER": pepper}).tenants["a"].keys


@pytest.mark.parametrize("environ", GUARDED)
def test_a_key_of_ones_own_is_taken_there(config: ConfigFile, environ: dict[str, str]) -> None:
    """It was made under the pepper that the daemon has."""
    made = new_key("web", PEPPER)

    settings = config.load(MODEL + f"tenants:\n  acme:\n    keys:\n    {made.line}\n", {**environ, **PEPPER})

    assert cautions(settings, 0.0) == ()


SECRETS = [
    (
        "models: {m: {provider: openai, base_url: 'http://h', model: m, api_key: {file: secret}}}",
        "",
        "models.m.api_key",
    ),
    ("admin: {token: {file: secret}}\n" + MODEL, "", "admin.token"),
    ("server: {tls: {cert: /dev/null, key: secret}}\n" + MODEL, "", "server.tls.key"),
    (MODEL, "PENSTOCK_KEY_PEPPER_FILE", "PENSTOCK_KEY_PEPPER_FILE"),
    ("", "LLM_API_KEY_FILE", "LLM_API_KEY_FILE"),
]


@pytest.mark.parametrize(("text", "name", "path"), SECRETS)
@pytest.mark.parametrize("environ", GUARDED)
def test_a_secret_that_everybody_can_read_is_refused_where_strangers_are(
    config: ConfigFile, environ: dict[str, str], text: str, name: str, path: str
) -> None:
    """And taken once it is not."""
    secret = config.path.with_name("secret")
    secret.write_text("hunter2-and-some-more", encoding="utf-8")
    secret.chmod(0o644)
    environ = {**environ, **({name: str(secret)} if name else {})}
    text += "\ntenants: {a: {}}"

    lines = config.mistakes(text, environ)
    secret.chmod(0o640)
    settings = config.load(text, environ)

    assert lines == [f"{path}: {secret} can be read by every user of this machine; chmod o-r it"]
    assert [warning for warning in cautions(settings, 0.0) if "can be read" in warning] == []


@pytest.mark.parametrize(("text", "name", "path"), SECRETS)
def test_development_says_so_once(config: ConfigFile, text: str, name: str, path: str) -> None:
    """It is not refused on a laptop."""
    secret = config.path.with_name("secret")
    secret.write_text("hunter2-and-some-more", encoding="utf-8")
    secret.chmod(0o604)

    settings = config.load(text, {name: str(secret)} if name else {})

    assert cautions(settings, 0.0) == (f"{secret} can be read by every user of this machine; chmod o-r it",)


def test_a_new_key_fits_the_line_beside_it(config: ConfigFile) -> None:
    """Under the daemon's pepper."""
    made = new_key("web", PEPPER)

    settings = config.load(MODEL + f"tenants:\n  acme:\n    keys:\n    {made.line}\n", PEPPER)

    [its] = settings.tenants["acme"].keys
    assert (its.name, its.hash) == ("web", digest(PEPPER["PENSTOCK_KEY_PEPPER"], made.key))
    assert made.key not in made.line
    assert made.warnings == ()


@pytest.mark.parametrize(("pepper", "is_told"), [("short", True), ("x" * 15, True), ("x" * 16, False)])
def test_a_pepper_that_can_be_guessed_is_told_of(config: ConfigFile, pepper: str, *, is_told: bool) -> None:
    """Where keys are made, and where they are asked for; what was set up with one goes on."""
    environ = {"PENSTOCK_KEY_PEPPER": pepper}

    made = new_key("web", environ)
    settings = config.load(tenants(tenant("a", made.line.removeprefix("- "))), environ)

    for name, warnings in (("PENSTOCK_KEY_PEPPER", made.warnings), ("key_pepper", cautions(settings, 0.0))):
        assert len(warnings) == is_told
        assert all(line.startswith(f"{name}: has fewer than 16 characters ") for line in warnings)
        assert all(pepper not in line for line in warnings)


@pytest.mark.parametrize(
    ("name", "environ", "lines"),
    [
        ("web", {}, ["PENSTOCK_KEY_PEPPER: must be set, as it is for the daemon: keys are stored as digests under it"]),
        (
            "web",
            {"PENSTOCK_KEY_PEPPER_FILE": "/nowhere"},
            ["PENSTOCK_KEY_PEPPER_FILE: cannot read /nowhere: No such file or"],
        ),
        ("web", {"PENSTOCK_KEY_PEPPER": "two\nlines"}, ["PENSTOCK_KEY_PEPPER: must be one line of text"]),
        ("Web", PEPPER, ["--name: a name is made of"]),
        ("a, b", {}, ["--name: a name is made of", "PENSTOCK_KEY_PEPPER: must be set"]),
    ],
)
def test_a_key_is_not_made_without_name_and_pepper(name: str, environ: dict[str, str], lines: list[str]) -> None:
    """It would never fit."""
    with pytest.raises(ConfigErrors) as raised:
        new_key(name, environ)

    said = [str(error) for error in raised.value.errors]
    assert len(said) == len(lines)
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True))
