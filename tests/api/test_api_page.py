"""The page: static, without data, and closed to everything foreign."""

import re

import pytest

from tests.api.conftest import Stage

FILES = {"/": "text/html", "/static/page.js": "text/javascript", "/static/page.css": "text/css"}


@pytest.mark.parametrize(("path", "media"), FILES.items())
async def test_files_are_served_without_a_token(lite: Stage, path: str, media: str) -> None:
    """The page's files hold no data and need no token; a strict policy goes with each."""
    reply = await lite.client.using(None).get(path)
    policy = reply.headers["Content-Security-Policy"]

    assert (reply.status, reply.headers["Content-Type"].partition(";")[0]) == (200, media)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_nothing_is_fetched_from_elsewhere(lite: Stage) -> None:
    """No file names another origin, and none carries inline script or style that the policy would block."""
    texts = {path: (await lite.client.get(path)).body for path in FILES}

    assert not any(re.search(r"(https?:)?//[a-z0-9]", text) for text in texts.values())
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|style=|\son\w+=", texts["/"])
    assert "innerHTML" not in texts["/static/page.js"]


async def test_page_is_small(lite: Stage) -> None:
    """The page is a few kilobytes."""
    assert sum([len((await lite.client.get(path)).body) for path in FILES]) < 20_000


async def test_token_of_a_link_leaves_the_address_bar(lite: Stage) -> None:
    """A token that comes in the fragment is kept for the tab only, and taken out of the URL."""
    script = (await lite.client.get("/static/page.js")).body

    assert 'URLSearchParams(location.hash.slice(1)).get("token")' in script
    assert 'history.replaceState(null, "", location.pathname)' in script
    assert "localStorage" not in script
