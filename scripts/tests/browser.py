"""A real browser for tests: Chromium without a window, driven through its DevTools protocol.

Only the standard library and websocket-client, which JupyterLab brings along.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find():
    """The browser's path, or None. CHROMIUM names one that is not on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page in a browser of its own."""

    def __init__(self, url, width=1040, height=900, dark=False, offline=False):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                   "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0",
                   f"--user-data-dir={self.folder.name}", f"--window-size={width},{height}", "about:blank"]
        said = Path(self.folder.name) / "said"
        with said.open("w") as file:
            self.browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
        # What the page's scripts failed with or complained of, and, where it is offline, all that it asked for.
        self.number, self.problems, self.requests = 0, [], []
        try:
            port_file = Path(self.folder.name) / "DevToolsActivePort"
            for _ in range(600):
                if (port_file.exists() and "\n" in port_file.read_text()) or self.browser.poll() is not None:
                    break
                time.sleep(0.05)
            if not port_file.exists():
                raise RuntimeError(f"{command[0]} did not start. Its last words:\n{said.read_text(errors='replace')[-1500:]}")
            port, path = port_file.read_text().split("\n")[:2]
            self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=60, suppress_origin=True)
            self.session = None
            target = next(target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page")
            attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            self.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
            if offline:
                self.call("Network.enable")
                self.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
            self.call("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
            self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
            self.open(url)
        except BaseException:
            self.close()
            raise

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def close(self):
        self.browser.terminate()
        self.browser.wait(20)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("method") == "Runtime.exceptionThrown":
                details = answer["params"]["exceptionDetails"]
                self.problems.append(details.get("exception", {}).get("description") or details["text"])
            elif answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.problems.append(answer["params"]["entry"]["text"])
            elif answer.get("method") == "Runtime.consoleAPICalled" and answer["params"]["type"] == "error":
                said = answer["params"]["args"]
                self.problems.append(" ".join(str(part.get("description") or part.get("value")) for part in said))
            elif answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def run(self, script):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def wait(self, script, seconds=30):
        end = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}")
            time.sleep(0.03)

    def middle(self, element):
        """Scrolls an element (a JavaScript expression) into view; the middle of it on the screen."""
        return self.run(f"(() => {{ const it = {element}; it.scrollIntoView({{block: 'center'}});"
                        "const box = it.getBoundingClientRect();"
                        "return [box.x + box.width / 2, box.y + box.height / 2]; })()")

    def point(self, element):
        x, y = self.middle(element)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, element):
        x, y = self.middle(element)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="none" if kind == "mouseMoved" else "left",
                      clickCount=0 if kind == "mouseMoved" else 1)

    def key(self, name):
        code = {"Enter": 13, " ": 32, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
                "Home": 36, "End": 35, "Tab": 9}[name]
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def type(self, text):
        """Types a text where the focus is."""
        self.call("Input.insertText", text=text)

    def picture(self, path, element=None):
        """A screenshot of the whole page, or of one element."""
        clip = {}
        if element:
            box = self.run(f"(() => {{ const box = ({element}).getBoundingClientRect();"
                           "return [box.x + scrollX, box.y + scrollY, box.width, box.height]; })()")
            clip = {"clip": dict(zip(("x", "y", "width", "height"), box), scale=1)}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, **clip)
        Path(path).write_bytes(base64.b64decode(shot["data"]))
