"""The page: three static files without data, served to anybody who may reach the port; data needs a token."""

from importlib.resources import files

from aiohttp import web

FILES = {
    "/": ("index.html", "text/html"),
    "/static/page.js": ("page.js", "text/javascript"),
    "/static/page.css": ("page.css", "text/css"),
}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "Cache-Control": "no-cache",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _File:
    """Serves one file from memory."""

    def __init__(self, name: str, media: str) -> None:
        self._body = files("spotd.api").joinpath("static", name).read_bytes()
        self._media = media

    async def __call__(self, _: web.Request) -> web.Response:
        return web.Response(body=self._body, content_type=self._media, charset="utf-8", headers=HEADERS)


def add_to(app: web.Application) -> None:
    """Serve the page at the root."""
    for path, (name, media) in FILES.items():
        app.router.add_get(path, _File(name, media).__call__)
