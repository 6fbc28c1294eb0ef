"""Authorisation: an API key as bearer token, with the scope that a route needs."""

from collections.abc import MutableMapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param

from service.api.access.deps import Api, Context
from service.api.http.headers import first_of
from service.api.http.problems import ProblemError
from service.runtime.api_key import Scope, allows
from service.storage.access.api_keys import StoredApiKey


class _Bearer(SecurityBase):
    """The text of the key that a request brings, if it brings one; FastAPI's own wraps it in a model of pydantic."""

    scheme_name = "key"
    model = HTTPBearer(
        description="An API key, `hk_…`. Its scopes are read, write and admin; each includes the ones before it."
    )

    async def __call__(self, request: Request) -> str | None:
        return _key_of(request.scope)


def _key_of(scope: MutableMapping[str, Any]) -> str | None:
    scheme, text = get_authorization_scheme_param(first_of(scope, b"authorization"))
    return text if text and scheme.lower() == "bearer" else None


async def authorise(
    request: Request,
    api: Api,
    scopes: SecurityScopes,
    text: Annotated[str | None, Depends(_Bearer())],
) -> None:
    """Let the request pass if its key has the scope that the route needs and keeps its rate; else 401, 403 or 429."""
    await _admit(request.scope, api, scopes.scopes, text)


async def require_scope(request: MutableMapping[str, Any], api: Context, scope: Scope) -> None:
    """Like the dependency on a key with `scope`, for a handler without dependencies; `request` is its ASGI scope."""
    await _admit(request, api, [scope], _key_of(request))


async def _admit(request: MutableMapping[str, Any], api: Context, scopes: Sequence[str], text: str | None) -> None:
    if text is None:
        raise _unauthorised("Send an API key: Authorization: Bearer hk_…", "Bearer")
    key = await _known(request.get("client"), api, text)
    api.rates.admit(request, key)
    for scope in scopes:
        if not allows(key.scopes, scope):  # type: ignore[arg-type] # needs() takes only scopes
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise ProblemError(403, f"This needs a key with scope {scope}.", headers={"WWW-Authenticate": challenge})


async def _known(client: tuple[str, int] | None, api: Context, text: str) -> StoredApiKey:
    # A caller with a good key isn't blocked by others who share the address: colleagues, or a proxy. Nor is a caller
    # whose key has expired since, as a program may go on using it for days.
    was_found = api.keys.was_found(text)
    if not was_found:
        api.wrong_keys.admit(client)
    key = await api.keys.find(text)
    if key is None:
        if not was_found:
            api.wrong_keys.note(client)
        raise _unauthorised("The API key is unknown or has expired.", 'Bearer error="invalid_token"')
    return key


def needs(scope: Scope) -> Any:
    """A route's dependency on a key with `scope`."""
    return Security(authorise, scopes=[scope])


def _unauthorised(detail: str, challenge: str) -> ProblemError:
    return ProblemError(401, detail, headers={"WWW-Authenticate": challenge})


READ = [needs("read")]
WRITE = [needs("write")]
ADMIN = [needs("admin")]
