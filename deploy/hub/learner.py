"""A simulated learner: logs into the hub over HTTP, starts their server, opens a notebook and runs its cells through the kernel."""

import json
import time
import uuid

import requests
import websocket


class Learner:
    """One user of the hub, with a browser's cookies."""

    def __init__(self, hub: str, name: str, password: str):
        self.hub, self.name, self.password = hub, name, password
        self.session = requests.Session()
        self.session.trust_env = False  # the hub is on this machine, also where all else is behind a proxy
        self.socket = None

    def _xsrf(self, path: str) -> str:
        """The cookie against forged requests that a page of this path has set."""
        cookies = [cookie for cookie in self.session.cookies if cookie.name == "_xsrf" and path.startswith(cookie.path.rstrip("/"))]
        return max(cookies, key=lambda cookie: len(cookie.path)).value

    def log_in(self) -> float:
        """Through the form, until JupyterLab's page is there: the seconds."""
        began = time.monotonic()
        self.session.get(f"{self.hub}/hub/login", timeout=60).raise_for_status()
        form = {"username": self.name, "password": self.password, "_xsrf": self._xsrf("/hub/login")}
        page = self.session.post(f"{self.hub}/hub/login?next=%2Fhub%2Fspawn", data=form, timeout=120)
        if page.status_code >= 400 or "/login" in page.url:
            raise RuntimeError(f"{self.name} could not log in: {page.status_code} {page.url}")
        while f"/user/{self.name}/lab" not in page.url or page.status_code != 200:
            if time.monotonic() - began > 300:
                raise RuntimeError(f"the server of {self.name} does not start: {page.status_code} {page.url}")
            time.sleep(0.5)
            page = self.session.get(f"{self.hub}/user/{self.name}/lab", timeout=120)
        return time.monotonic() - began

    def ask(self, method: str, path: str, data=None):
        """The interface of the learner's own server."""
        path = f"/user/{self.name}/{path}"
        reply = self.session.request(method, self.hub + path, json=data, headers={"X-XSRFToken": self._xsrf(path)}, timeout=120)
        if reply.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {reply.status_code} {reply.text[:300]}")
        return reply.json() if reply.content else None

    def open(self, name: str, notebook: dict) -> None:
        """Puts a notebook beside the learner's others, opens it and starts its kernel."""
        self.ask("PUT", f"api/contents/{name}", {"type": "notebook", "content": notebook})
        session = self.ask("POST", "api/sessions", {"path": name, "name": name, "type": "notebook", "kernel": {"name": "glasslab"}})
        self.kernel = session["kernel"]["id"]
        path = f"/user/{self.name}/api/kernels/{session['kernel']['id']}/channels?session_id={uuid.uuid4()}"
        cookies = self.session.cookies.get_dict(path="/") | self.session.cookies.get_dict(path=f"/user/{self.name}/")
        self.socket = websocket.create_connection(
            self.hub.replace("http", "ws", 1) + path, timeout=120, cookie="; ".join(f"{name}={value}" for name, value in cookies.items()),
            header={"X-XSRFToken": self._xsrf(path)}, http_no_proxy=["127.0.0.1"])
        self._wait_for_kernel()

    def _wait_for_kernel(self) -> None:
        """As JupyterLab does: what comes before the server and the kernel know each other is lost."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            asked = self._send("kernel_info_request", {})
            self.socket.settimeout(2)
            try:
                while True:
                    told = json.loads(self.socket.recv())
                    if told["msg_type"] == "kernel_info_reply" and told["parent_header"].get("msg_id") == asked:
                        return
            except websocket.WebSocketTimeoutException:
                pass
        raise RuntimeError(f"the kernel of {self.name} does not answer")

    def _send(self, kind: str, content: dict) -> str:
        """Sends a message; its name."""
        message = uuid.uuid4().hex
        header = {"msg_id": message, "msg_type": kind, "session": "learner", "username": self.name, "version": "5.3",
                  "date": "2026-01-01T00:00:00Z"}
        self.socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}))
        return message

    def run(self, code: str, seconds: float = 600) -> tuple[float, str]:
        """Runs a cell: its seconds, and the error that it ended with, if any."""
        began, replied, idle, error = time.monotonic(), False, False, ""
        message = self._send("execute_request", {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                                                 "allow_stdin": False, "stop_on_error": False})
        while True:
            self.socket.settimeout(max(0.1, began + seconds - time.monotonic()))
            told = json.loads(self.socket.recv())
            if told.get("parent_header", {}).get("msg_id") != message:
                continue
            # The two come on channels of their own, in any order.
            if told["msg_type"] == "execute_reply":
                replied = True
                if told["content"]["status"] != "ok":
                    error = str(told["content"].get("evalue") or told["content"]["status"])
            elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                idle = True
            if replied and idle:
                return time.monotonic() - began, error

    def stop_server(self) -> None:
        """Through the hub, as its Control Panel does."""
        path = f"/hub/api/users/{self.name}/server"
        headers = {"X-XSRFToken": self._xsrf("/hub/home"), "Referer": f"{self.hub}/hub/home"}
        reply = self.session.delete(self.hub + path, headers=headers, timeout=120)
        if reply.status_code >= 400:
            raise RuntimeError(f"DELETE {path}: {reply.status_code} {reply.text[:300]}")


def cells(notebook: dict) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
