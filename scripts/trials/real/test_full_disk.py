"""A broker on a disk without room: it ends with the folder and the cause, and goes on with everything once there is room."""

import os
import subprocess

import pytest
from cluster import Cluster

from ordeal import paths

SIZE_KB = 4096
# In a mount namespace of its own: a tmpfs that goes away with the last process in it. $1 the mount point, $2 the room
# that the second start finds, in KiB, the rest the broker's command line.
SCRIPT = """
mount -t tmpfs -o size={size}k tmpfs "$1" || exit 99
mount=$1; room=$2; shift 2
run() {{
  "$@" & broker=$!
  ( for i in $(seq 100); do sleep 0.1; grep -q "ordeal-broker ready" "$mount.log" && break; done; kill -TERM $broker ) &
  wait $broker; code=$?
  kill $! 2>/dev/null; wait
  echo "exit $code"
}}
: > "$mount.log"; run "$@" >> "$mount.log" 2>&1; grep "^exit" "$mount.log"
free=$(df --output=avail -k "$mount" | tail -n 1)
dd if=/dev/zero of="$mount/fill" bs=1k count=$((free - room)) 2>/dev/null
: > "$mount.log"; run "$@" >> "$mount.log" 2>&1; cat "$mount.log"
rm "$mount/fill"
: > "$mount.log"; run "$@" >> "$mount.log" 2>&1; grep "ordeal-broker ready\\|^exit" "$mount.log"
"""


@pytest.mark.parametrize("room_kb", [0, 4, 8])
def test_start_without_room(tmp_path, room_kb):
    Cluster(tmp_path, nodes=1)  # writes the configuration; we start it ourselves
    config = tmp_path / "n1.properties"
    words = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-m", "sh", "-c", SCRIPT.format(size=SIZE_KB), "sh",
             str(tmp_path / "n1"), str(room_kb), str(paths.binary("ordeal-broker")), "--config", str(config)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[0] == "exit 0", done.stdout + done.stderr
    ended = next(at for at, line in enumerate(lines) if at > 0 and line.startswith("exit "))
    assert lines[ended] == "exit 1", done.stdout
    assert lines[ended - 1].startswith("ordeal-broker: no space left: "), done.stdout
    assert str(tmp_path / "n1") in lines[ended - 1], done.stdout
    assert lines[ended + 1].startswith("ordeal-broker ready"), done.stdout
    assert lines[ended + 2] == "exit 0", done.stdout
