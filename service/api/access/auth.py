"""Authorisation: an API key as bearer token, with the scope that a route needs."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from service.api.access.deps import Api, Context
from service.api.http.problems import ProblemError
from service.runtime.api_key import Scope, allows
from service.storage.access.api_keys import StoredApiKey

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, `hk_…`. Its scopes are read, write and admin; each includes the ones before it.",
)


async def authorise(
    request: Request,
    api: Api,
    scopes: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Let the request pass if its key has the scope that the route needs and keeps its rate; else 401, 403 or 429."""
    await _admit(request, api, scopes.scopes, credentials)


async def require_scope(request: Request, api: Context, scope: Scope) -> None:
    """Like the dependency on a key with `scope`, for a handler without dependencies."""
    await _admit(request, api, [scope], await _bearer(request))


async def _admit(
    request: Request, api: Context, scopes: Sequence[str], credentials: HTTPAuthorizationCredentials | None
) -> None:
    if credentials is None:
        raise _unauthorised("Send an API key: Authorization: Bearer hk_…", "Bearer")
    key = await _known(request, api, credentials.credentials)
    api.rates.admit(request.scope, key)
    for scope in scopes:
        if not allows(key.scopes, scope):  # type: ignore[arg-type] # needs() takes only scopes
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise ProblemError(403, f"This needs a key with scope {scope}.", headers={"WWW-Authenticate": challenge})


async def _known(request: Request, api: Context, text: str) -> StoredApiKey:
    client = request.scope.get("client")
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
