"""/docs: the interactive documentation. All of it comes from this process: no browser contacts anybody else."""

from pathlib import Path

from fastapi import APIRouter, Response
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped] # it ships no type information

from service.api.http.problems import not_found

router = APIRouter(include_in_schema=False)

_HTML = "text/html; charset=utf-8"
_CSS = "text/css; charset=utf-8"
_SCRIPT = "text/javascript; charset=utf-8"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>account-health</title>
<link rel="icon" type="image/png" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  docExpansion: "none",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The minimum that the page needs. Swagger UI puts styles into its elements; no script but the two files runs."""


def _vendored(name: str) -> bytes:
    return Path(swagger_ui_path, name).read_bytes()


_PARTS: dict[str, tuple[str, bytes]] = {
    "start.js": (_SCRIPT, _START.encode()),
    "swagger-ui-bundle.js": (_SCRIPT, _vendored("swagger-ui-bundle.js")),
    "swagger-ui.css": (_CSS, _vendored("swagger-ui.css")),
    "favicon.png": ("image/png", _vendored("favicon-32x32.png")),
}


@router.get("/docs")
async def documentation() -> Response:
    """The page."""
    return Response(_PAGE, headers={"Content-Security-Policy": _POLICY}, media_type=_HTML)


@router.get("/docs/{part}")
async def documentation_part(part: str) -> Response:
    """A script, a style sheet or a picture of the page."""
    if part not in _PARTS:
        raise not_found("part of the documentation")
    media_type, content = _PARTS[part]
    return Response(content, media_type=media_type)
