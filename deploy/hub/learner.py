"""A simulated learner: logs into the hub over HTTP, starts their server, opens a notebook and runs its cells through the kernel."""

import asyncio
import json
import time
import uuid

import aiohttp


class Learner:
    """One user of the hub, with a browser's cookies."""

    def __init__(self, hub: str, name: str, password: str):
        self.hub, self.name, self.password = hub, name, password
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=600))
        self.socket = None

    async def close(self) -> None:
        await self.session.close()

    def _xsrf(self, path: str) -> str:
        """The cookie against forged requests that a page of this path has set."""
        cookies = [cookie for cookie in self.session.cookie_jar if cookie.key == "_xsrf" and path.startswith(cookie["path"].rstrip("/"))]
        return max(cookies, key=lambda cookie: len(cookie["path"])).value

    async def log_in(self) -> float:
        """Through the form, until JupyterLab's page is there: the seconds."""
        began = time.monotonic()
        async with self.session.get(f"{self.hub}/hub/login") as page:
            page.raise_for_status()
        form = {"username": self.name, "password": self.password, "_xsrf": self._xsrf("/hub/login")}
        async with self.session.post(f"{self.hub}/hub/login?next=%2Fhub%2Fspawn", data=form) as page:
            if page.status >= 400 or "login" in str(page.url):
                raise RuntimeError(f"{self.name} could not log in: {page.status} {page.url}")
        while True:
            async with self.session.get(f"{self.hub}/user/{self.name}/lab") as page:
                if page.status == 200 and f"/user/{self.name}/lab" in str(page.url):
                    return time.monotonic() - began
            if time.monotonic() - began > 300:
                raise RuntimeError(f"the server of {self.name} does not start: {page.status} {page.url}")
            await asyncio.sleep(0.5)

    async def ask(self, method: str, path: str, data=None):
        """The interface of the learner's own server."""
        path = f"/user/{self.name}/{path}"
        headers = {"X-XSRFToken": self._xsrf(path)}
        async with self.session.request(method, self.hub + path, json=data, headers=headers) as reply:
            if reply.status >= 400:
                raise RuntimeError(f"{method} {path}: {reply.status} {(await reply.text())[:300]}")
            return await reply.json() if reply.content_type == "application/json" else None

    async def open(self, name: str, notebook: dict) -> None:
        """Puts a notebook beside the learner's others, opens it and starts its kernel."""
        await self.ask("PUT", f"api/contents/{name}", {"type": "notebook", "content": notebook})
        session = await self.ask("POST", "api/sessions", {"path": name, "name": name, "type": "notebook", "kernel": {"name": "glasslab"}})
        self.kernel = session["kernel"]["id"]
        address = f"{self.hub}/user/{self.name}/api/kernels/{self.kernel}/channels?session_id={uuid.uuid4()}"
        self.socket = await self.session.ws_connect(address, max_msg_size=0, heartbeat=30)

    async def run(self, code: str, seconds: float = 600) -> tuple[float, str]:
        """Runs a cell: its seconds, and the error that it ended with, if any."""
        message = uuid.uuid4().hex
        header = {"msg_id": message, "msg_type": "execute_request", "session": "learner", "username": self.name, "version": "5.3",
                  "date": "2026-01-01T00:00:00Z"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}
        began, replied, error = time.monotonic(), False, ""
        await self.socket.send_str(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                                               "channel": "shell", "buffers": []}))
        while True:
            told = await asyncio.wait_for(self.socket.receive(), began + seconds - time.monotonic())
            if told.type != aiohttp.WSMsgType.TEXT:
                if told.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE):
                    raise RuntimeError(f"the server of {self.name} has closed the connection")
                continue
            told = json.loads(told.data)
            if told.get("parent_header", {}).get("msg_id") != message:
                continue
            if told["msg_type"] == "execute_reply":
                replied = True
                if told["content"]["status"] != "ok":
                    error = str(told["content"].get("evalue") or told["content"]["status"])
            elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle" and replied:
                return time.monotonic() - began, error

    async def stop_server(self) -> None:
        """Through the hub, as its Control Panel does."""
        path = f"/hub/api/users/{self.name}/server"
        async with self.session.delete(self.hub + path, headers={"X-XSRFToken": self._xsrf("/hub/home"), "Referer": f"{self.hub}/hub/home"}) as reply:
            if reply.status >= 400:
                raise RuntimeError(f"DELETE {path}: {reply.status} {(await reply.text())[:300]}")


def cells(notebook: dict) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
