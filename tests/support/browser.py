"""A real Chromium without a window, driven by the DevTools protocol over two pipes: it needs the program alone."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip


def program():
    """The path of Chromium or Chrome on this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser."""

    def __init__(self, profile):
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        # Chromium reads commands from file 3 and writes answers to file 4
        script = f'exec 3<&{commands} 4>&{answers}; exec "$@"'
        command = ["bash", "-c", script, "bash", program(), *OPTIONS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            command, pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._number, self._session, self.requests = b"", 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """Send a command; return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._to, content) :]
        return self._wait(lambda answer: answer.get("id") == self._number)

    def _wait(self, wanted):
        deadline = time.monotonic() + SECONDS
        while True:
            while b"\0" in self._buffer:
                content, self._buffer = self._buffer.split(b"\0", 1)
                answer = json.loads(content)
                if answer.get("method") == "Network.requestWillBeSent":
                    self.requests.append(answer["params"]["request"]["url"])
                if wanted(answer):
                    assert "error" not in answer, answer["error"]
                    return answer.get("result", answer.get("params"))
            assert select.select([self._from], [], [], max(0, deadline - time.monotonic()))[0], "the browser is silent"
            self._buffer += os.read(self._from, 1 << 20)

    def open(self, path, width, height=900, dark=False, media=""):
        """Show a file at a width in pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self._wait(lambda answer: answer.get("method") == "Page.loadEventFired")

    def run(self, code):
        """Evaluate JavaScript (a promise is awaited); return its value."""
        found = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, path, y=0, height=900):
        """Save what is seen from ``y`` on."""
        width = self.run("document.documentElement.clientWidth")
        clip = {"x": 0, "y": y, "width": width, "height": height, "scale": 1}
        found = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, path):
        """Save the page as it would be printed."""
        found = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self):
        for end in (self._to, self._from):
            os.close(end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
