"""Our own broker: writes its roles into a trace itself, and has named bugs that can be switched on."""

import subprocess
from pathlib import Path

from ordeal import layout, paths
from ordeal.targets.base import Target, refused


class OrdealBroker(Target):
    name = "ordeal"
    title = "ordeal"

    def prepare(self, run: Path) -> None:
        for node in self.nodes():
            config = layout.write_node(self.spec, node, run)
            done = subprocess.run([str(paths.binary("ordeal-broker")), "--config", str(config), "--check-config"], capture_output=True, text=True)
            if done.returncode != 0:
                raise refused("broker settings", done.returncode, done.stdout + done.stderr)

    def node(self, run: Path, node: int) -> dict:
        folder, log = self.folder(run, node), str(self.log(run, node))
        return {"id": f"n{node}", "kind": "node", "argv": [str(paths.binary("ordeal-broker")), "--config", str(folder / "server.properties")],
                "cwd": str(folder), "stdout": log, "stderr": log, "port": layout.CLIENT_PORT, "ready_timeout_ms": self.start_s * 1000,
                "trace": str(folder / "trace.jsonl"), "wait": True}


TARGET = OrdealBroker
