from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.authorizer import Authorizer
from support.served import API, Api, make_run, write
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from detjupyter.store import Store

KERNEL = "11111111-2222-3333-4444-555555555555"
NOBODY = {"Authorization": ""}
ROUTES = [
    ("GET", "runs"),
    ("GET", "runs/one"),
    ("DELETE", "runs/one"),
    ("GET", "runs/one/series"),
    ("GET", "runs/one/story"),
    ("GET", "runs/one/log"),
    ("GET", "runs/one/checkpoints"),
    ("GET", "runs/one/parent"),
    ("GET", "runs/one/picture"),
    ("GET", "comparison"),
    ("GET", "table"),
    ("GET", "table/ids"),
    ("POST", "table/annotate"),
    ("POST", "table/delete"),
    ("POST", "table/size"),
    ("GET", "definition"),
    ("GET", "definition/determined"),
    ("POST", "definition/ignore"),
    ("POST", "definition/ignore/undo"),
    ("GET", f"kernels/{KERNEL}"),
    ("POST", f"kernels/{KERNEL}/command"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_login_every_route_is_403(jp_fetch: Callable[..., Any], method: str, path: str) -> None:
    """A request without a token learns nothing, not even whether a run exists."""
    with pytest.raises(HTTPClientError) as error:
        await jp_fetch(API, path, method=method, headers=dict(NOBODY), allow_nonstandard_methods=True)
    assert error.value.code == 403
    assert error.value.response is not None
    assert set(json.loads(error.value.response.body)) == {"message", "hint"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_rights_every_route_is_403(jp_fetch: Callable[..., Any], jp_serverapp: Any, method: str, path: str) -> None:
    """A user who has logged in, and to whom the server's authorizer allows nothing."""

    class NoRights(Authorizer):
        def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:  # noqa: ARG002
            return False

    jp_serverapp.web_app.settings["authorizer"] = NoRights(parent=jp_serverapp, identity_provider=jp_serverapp.identity_provider)
    with pytest.raises(HTTPClientError) as error:
        await jp_fetch(API, path, method=method, allow_nonstandard_methods=True)
    assert error.value.code == 403


async def test_without_a_login_the_websocket_is_403(jp_ws_fetch: Callable[..., Any]) -> None:
    """The WebSocket is not opened for a request without a token."""
    with pytest.raises(HTTPClientError) as error:
        await jp_ws_fetch(API, "live", headers=dict(NOBODY))
    assert error.value.code == 403


class Browser:
    """A browser that has logged in: cookies instead of a token in every request."""

    def __init__(self, client: Any, base: str) -> None:
        self._client = client
        self._base = base
        self.cookies: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        """Return the header that the browser sends."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def request(self, path: str, *, headers: dict[str, str] | None = None, **kwargs: Any) -> Any:
        """Return the response to a request that carries the cookies, and keep those it sets."""
        response = await self._client.fetch(
            self._base + path, headers={"Cookie": self.cookie} | (headers or {}), raise_error=False, follow_redirects=False, **kwargs
        )
        for line in response.headers.get_list("Set-Cookie"):
            self.cookies.update({name: morsel.coded_value for name, morsel in SimpleCookie(line).items()})
        return response

    async def log_in(self, token: str) -> None:
        """Log in at Jupyter's own page."""
        await self.request("login")
        form = urllib.parse.urlencode({"password": token, "_xsrf": self.cookies["_xsrf"]})
        response = await self.request("login", method="POST", body=form)
        assert response.code == 302


async def test_a_browser_needs_the_xsrf_token_to_change_anything(
    http_server_client: Any, jp_base_url: str, jp_serverapp: Any, store: Store
) -> None:
    """With the login cookie alone, as another site's form would send it, nothing is deleted and no command is passed on."""
    store.create_run(make_run("one"))
    browser = Browser(http_server_client, jp_base_url)
    await browser.log_in(jp_serverapp.identity_provider.token)
    referer = {"Referer": f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url}lab"}

    command = json.dumps({"session_id": None, "command": {"kind": "pause"}})
    response = await browser.request(f"{API}/kernels/{KERNEL}/command", method="POST", body=command, headers=referer)
    assert response.code == 403
    assert "_xsrf" in json.loads(response.body)["message"]
    assert (await browser.request(f"{API}/runs/one", method="DELETE", headers=referer)).code == 403
    assert store.run("one").id == "one"

    token = {"X-XSRFToken": browser.cookies["_xsrf"]}
    assert (await browser.request(f"{API}/kernels/{KERNEL}/command", method="POST", body=command, headers=referer | token)).code == 404
    assert (await browser.request(f"{API}/runs/one", method="DELETE", headers=referer | token)).code == 204


@pytest.mark.parametrize("route", ["annotate", "delete"])
async def test_a_browser_needs_the_xsrf_token_to_change_several_runs(
    http_server_client: Any, jp_base_url: str, jp_serverapp: Any, store: Store, route: str
) -> None:
    """With the login cookie alone nothing is noted and nothing is deleted."""
    store.create_run(make_run("one"))
    before = store.run("one")
    browser = Browser(http_server_client, jp_base_url)
    await browser.log_in(jp_serverapp.identity_provider.token)
    referer = {"Referer": f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url}lab"}
    body = json.dumps({"run_ids": ["one"], "name": "renamed"})
    assert (await browser.request(f"{API}/table/{route}", method="POST", body=body, headers=referer)).code == 403
    assert store.run("one") == before
    token = {"X-XSRFToken": browser.cookies["_xsrf"]}
    assert (await browser.request(f"{API}/table/{route}", method="POST", body=body, headers=referer | token)).code == 204
    assert [run.name for run in store.runs()] == ([] if route == "delete" else ["renamed"])


async def test_a_browser_needs_the_xsrf_token_to_edit_a_detignore(
    http_server_client: Any, jp_base_url: str, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    """With the login cookie alone nothing is written into a definition."""
    write(jp_root_dir / "digits", {"data.bin": "x"})
    browser = Browser(http_server_client, jp_base_url)
    await browser.log_in(jp_serverapp.identity_provider.token)
    referer = {"Referer": f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url}lab"}
    edit = json.dumps({"path": "digits", "file": "data.bin", "include": False, "save": True, "expected_hash": "none"})
    assert (await browser.request(f"{API}/definition/ignore", method="POST", body=edit, headers=referer)).code == 403
    assert not (jp_root_dir / "digits/.detignore").exists()
    token = {"X-XSRFToken": browser.cookies["_xsrf"]}
    assert (await browser.request(f"{API}/definition/ignore", method="POST", body=edit, headers=referer | token)).code == 200
    assert (jp_root_dir / "digits/.detignore").exists()


async def test_another_site_cannot_open_the_websocket(
    http_server_client: Any, jp_http_port: int, jp_base_url: str, jp_serverapp: Any
) -> None:
    """With the login cookie a page of the server's own opens the WebSocket, and a page of another origin does not."""
    browser = Browser(http_server_client, jp_base_url)
    await browser.log_in(jp_serverapp.identity_provider.token)
    host = f"127.0.0.1:{jp_http_port}"

    async def connect(origin: str) -> None:
        headers = {"Cookie": browser.cookie, "Origin": origin}
        (await websocket_connect(HTTPRequest(f"ws://{host}{jp_base_url}{API}/live", headers=headers))).close()

    await connect(f"http://{host}")
    with pytest.raises(HTTPClientError) as error:
        await connect("http://elsewhere.example")
    assert error.value.code == 403


async def test_an_id_of_a_kernel_is_a_uuid(api: Api) -> None:
    """What cannot be the id of a kernel, or is none of this server's, is 404."""
    for kernel_id in ("..", "x", "%2e%2e", KERNEL + "0", KERNEL):
        for method, path in (("GET", f"kernels/{kernel_id}"), ("POST", f"kernels/{kernel_id}/command")):
            body = {"command": {"kind": "pause"}} if method == "POST" else None
            status, answer = await api.refused(path, method=method, body=body)
            assert status == 404
            assert "has no kernel" in answer["message"]


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "[1]",
        "[" * 100_000,
        {},
        {"command": None},
        {"command": {"kind": "self_destruct"}},
        {"command": {"kind": "step", "batches": 0}},
        {"command": {"kind": "pause"}, "session_id": "../../etc"},
        {"command": {"kind": "pause"}, "session_id": 5},
    ],
)
async def test_a_command_that_is_none_is_400(api: Api, body: Any) -> None:
    """An invalid command is refused with one message, and does not reach a kernel."""
    status, _ = await api.refused(f"kernels/{KERNEL}/command", method="POST", body=body)
    assert status == 400


async def test_a_mistake_of_ours_shows_no_traceback(api: Api, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a 500 that names the log, without paths of the server."""

    async def fail(_read: object) -> str:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(jp_serverapp.web_app.settings["detjupyter"].history), "read", lambda _self, read: fail(read))
    status, answer = await api.refused("runs")
    assert status == 500
    assert "secret" not in json.dumps(answer)


def test_loading_the_extension_imports_neither_torch_nor_sqlalchemy() -> None:
    """A server that only starts pays for nothing that it may never use, and never imports what runs training."""
    heavy = "('torch', 'sqlalchemy', 'tsdownsample', 'anywidget', 'matplotlib', 'IPython', 'ruamel', 'pathspec', 'watchfiles')"
    code = f"import sys; import detjupyter.server.extension; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
