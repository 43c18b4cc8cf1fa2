"""All secrets of a configuration are found, wherever they stand."""

import json

from fakes.config_file import ConfigFile
from penstockd.config import secret_values


def test_every_secret_is_found(config: ConfigFile) -> None:
    """Keys, headers, tokens, peppers, and the passwords of URLs, as they are written and as they are meant."""
    settings = config.load(
        json.dumps(
            {
                "models": {
                    "a": {
                        "provider": "openai",
                        "model": "m",
                        "api_key": "key-a",
                        "headers": {"x-token": "header-a"},
                        "proxy": "http://user:pass%40word@proxy:3128",
                    }
                },
                "key_pepper": "the-pepper",
                "admin": {"token": "the-token"},
            }
        )
    )

    assert set(secret_values(settings)) == {
        "key-a",
        "header-a",
        "http://user:pass%40word@proxy:3128",
        "pass%40word",
        "pass@word",
        "the-pepper",
        "the-token",
    }
