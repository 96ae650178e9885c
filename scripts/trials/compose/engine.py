"""A Docker engine for these tests: the one that answers, or, for root where none does, one of our own that ends with them."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

START_S = 90


class Engine:
    """DOCKER_HOST of an engine that answers; `why` says why there is none."""

    def __init__(self):
        self.host, self.why, self._child, self._folder = "", "", None, None

    def start(self) -> "Engine":
        if not shutil.which("docker"):
            self.why = "docker is not installed (docker.io)"
        elif self._answers(os.environ.get("DOCKER_HOST", "")):
            self.host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        elif os.geteuid() != 0 or not shutil.which("dockerd"):
            self.why = "no Docker engine answers, and only root could start one"
        else:
            self._start_own()
        return self

    def _start_own(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ordeal-dockerd-", dir="/tmp"))  # short: a socket's path has 107 bytes
        host = f"unix://{self._folder}/docker.sock"
        # No rules in the host's firewall and no bridge of its own: what the tests need makes its own network.
        command = ["dockerd", "--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "exec"), "--host", host,
                   "--pidfile", str(self._folder / "pid"), "--bridge", "none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"]
        with open(self._folder / "log", "wb") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._child.poll() is None:
            if self._answers(host):
                self.host = host
                return
            time.sleep(0.2)
        said = (self._folder / "log").read_text(errors="replace").splitlines()[-3:]
        self.stop()
        self.why = "dockerd does not run here: " + " / ".join(said)

    @staticmethod
    def _answers(host: str) -> bool:
        env = {**os.environ, "DOCKER_HOST": host} if host else None
        try:
            return subprocess.run(["docker", "version"], capture_output=True, env=env, timeout=30).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> None:
        if self._child and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(60)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
