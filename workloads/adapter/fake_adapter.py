#!/usr/bin/env python3
"""An adapter without a cluster, for the tests of the harness's side: its first argument says how it behaves.

It keeps one log a partition in memory, so what is sent can be read back. It is also the shortest whole adapter there is.
"""

import json
import os
import sys
import time

mode = sys.argv[1] if len(sys.argv) > 1 else "good"
logs: dict[tuple[str, int], list[str]] = {}
positions: dict[int, dict[tuple[str, int], int]] = {}


def say(event: str, **fields) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def send(command: dict) -> None:
    results = []
    for record in command["records"]:
        if mode == "die":
            os._exit(9)
        if mode == "forget":
            continue
        if mode.startswith("failed-"):
            say("failed", id=command["id"], tag=record["tag"], error="MESSAGE_TOO_LARGE", text="no", persisted=mode[7:])
            continue
        log = logs.setdefault((record["topic"], record["partition"]), [])
        log.append(record["value"])
        results.append({"tag": record["tag"], "offset": len(log) - 1, "unknown_field": {}})
    if mode == "fatal":
        say("fatal", id=command["id"], error="PRODUCER_FENCED", text="a younger one lives")
    if mode == "twice":
        results += results
    if results:
        say("sent", id=command["id"], results=results)


def poll(command: dict) -> None:
    if mode == "hang-poll":
        return
    records = []
    for (topic, partition), at in positions[command["id"]].items():
        log = logs.get((topic, partition), [])
        for offset in range(at, min(len(log), at + command["max"])):
            records.append({"topic": topic, "partition": partition, "offset": offset, "value": log[offset], "leader_epoch": 3})
        positions[command["id"]][topic, partition] = max(at, len(log))
    if not records:
        time.sleep(command["timeout_ms"] / 1000)
    errors = [{"topic": "t", "partition": 1, "error": "OFFSET_OUT_OF_RANGE", "text": "gone"}] if mode == "out-of-range" else []
    say("polled", id=command["id"], records=records, errors=errors)


def place(command: dict, replace: bool) -> None:
    own = positions.setdefault(command["id"], {})
    if replace:
        own.clear()
    for p in command.get("positions", [command]):
        own[p["topic"], p["partition"]] = max(0, p["offset"])
    say("ready", id=command["id"])


def main() -> None:
    for line in sys.stdin:
        if mode == "hang":
            time.sleep(3600)
        command = json.loads(line)
        what = command["cmd"]
        if what == "hello":
            if mode == "garbage":
                print("Exception in thread main \x07\xff")
            say("hello", protocol=99 if mode == "newer" else 1, client="fake", library="none", version="1.0", features=[], runtime="python")
        elif what == "producer" and mode == "refuse":
            say("error", id=command["id"], cmd=what, text="acks: 'many' is no number")
        elif what in ("producer", "consumer"):
            say("ready", id=command["id"])
        elif what == "send":
            send(command)
        elif what in ("assign", "seek"):
            place(command, what == "assign")
        elif what == "poll":
            poll(command)
        elif what == "close":
            say("closed", id=command["id"])
        elif what == "shutdown":
            return
        elif mode == "stall":
            time.sleep(3600)
        else:
            say("error", cmd=what, text="unknown command")


main()
