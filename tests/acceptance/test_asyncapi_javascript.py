"""AsyncAPI's own parser, which checks that document and schemas hang together, has nothing against ours."""

import json

import pytest

from service.api.docs.asyncapi import document
from service.runtime.settings import Settings
from tests.support import javascript
from tests.support.javascript import asyncapi_problems

pytestmark = pytest.mark.skipif(javascript.what_is_missing() is not None, reason=str(javascript.what_is_missing()))
ADVICE = {"asyncapi-latest-version"}
"""3.1 adds bindings for a broker that isn't used here; tools that read 3.0 are more."""


def test_the_parser_has_nothing_against_it() -> None:
    described = document(Settings(_env_file=None))
    assert {problem["code"] for problem in asyncapi_problems(json.dumps(described))} <= ADVICE


def test_it_would_say_so() -> None:
    described = document(Settings(_env_file=None))
    described["channels"]["usageEvents"]["messages"]["UsageEvent"]["$ref"] = "#/components/messages/Nothing"
    described["operations"]["sendAlerts"]["action"] = "shout"
    found = {problem["code"] for problem in asyncapi_problems(json.dumps(described))}
    assert len(found - ADVICE) >= 2
