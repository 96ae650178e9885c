#!/usr/bin/env python3
"""confluent-kafka (librdkafka in Python) behind the adapter protocol (docs/formats/adapter.md).

Each client has a thread of its own that performs its commands in order, so one that is stuck keeps nobody else waiting.
The library does not hand out librdkafka's message status, so only a record that produce() itself refused counts as never
sent; every later failure is `maybe`.
"""

import base64
import json
import platform
import queue
import sys
import threading

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

PROTOCOL = 1
FROM_START = -2
RESULTS_MAX = 500  # of one `sent` line
POLL_S = 0.01  # a producer looks for outcomes this often when no command comes

# Kafka's property names that librdkafka says differently; None: it has no such thing.
RENAMED = {"fetch.max.wait.ms": "fetch.wait.max.ms", "metadata.max.age.ms": "topic.metadata.refresh.interval.ms",
           "socket.connection.setup.timeout.max.ms": None, "max.block.ms": None, "max.poll.records": None,
           "buffer.memory": None}
OF_PRODUCERS = ("acks", "compression.type", "delivery.timeout.ms", "enable.idempotence", "linger.ms", "request.timeout.ms",
                "max.in.flight.requests.per.connection", "retries", "retry.backoff.ms", "retry.backoff.max.ms")

_out_lock = threading.Lock()


def say(event: str, **fields) -> None:
    line = json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n"
    with _out_lock:
        sys.stdout.write(line)
        sys.stdout.flush()


def properties(config: dict, consumer: bool) -> dict:
    """The configuration in librdkafka's names. What it does not know at all it refuses itself, by name."""
    found = {RENAMED.get(key, key): value for key, value in config.items()}
    found.pop(None, None)
    if consumer:
        found = {k: v for k, v in found.items() if k not in OF_PRODUCERS}
        if found.get("auto.offset.reset") == "none":
            found["auto.offset.reset"] = "error"
        found.setdefault("group.id", config.get("client.id", "adapter"))  # it wants one; nothing is joined or committed
    found.setdefault("topic.metadata.refresh.fast.interval.ms", "100")
    found.setdefault("topic.metadata.propagation.max.ms", "60000")
    found.setdefault("broker.address.family", "v4")
    found.setdefault("socket.nagle.disable", "true")
    found.setdefault("socket.timeout.ms", config.get("request.timeout.ms", "60000"))
    found.setdefault("log_level", "0")
    return found


class Host(threading.Thread):
    """One client. Commands are performed in order; idle() runs between them."""

    idle_s = None

    def __init__(self, number: int):
        super().__init__(daemon=True)
        self.number = number
        self.commands: queue.Queue = queue.Queue()
        self.closing = False  # a close has arrived: what waits before it need not be tried any more

    def accept(self, command: dict) -> None:
        self.closing |= command["cmd"] == "close"
        self.commands.put(command)

    def run(self) -> None:
        what = "idle"
        while what != "close":
            try:
                command = self.commands.get(timeout=self.idle_s)
            except queue.Empty:
                command = {"cmd": "idle"}
            what = command["cmd"]
            try:
                if what == "idle":
                    self.idle()
                elif what == "close":
                    self.close(command.get("timeout_ms", 0) / 1000)
                    say("closed", id=self.number)
                else:
                    self.perform(command)
            except Exception as error:  # whatever it is, the harness must hear of it
                say("error", id=self.number, cmd=what, text=f"{type(error).__name__}: {error}")

    def idle(self) -> None:
        pass


class ProducerHost(Host):
    idle_s = POLL_S

    def __init__(self, number: int, config: dict):
        super().__init__(number)
        self.results: list[dict] = []
        self.fatal = False
        self.producer = Producer(properties(config, consumer=False) | {"error_cb": self.on_error})

    def perform(self, command: dict) -> None:
        if command["cmd"] != "send":
            raise ValueError(f"a producer does not {command['cmd']}")
        for record in command["records"]:
            self.send(record)
        self.idle()

    def send(self, record: dict) -> None:
        tag, key = record["tag"], record.get("key")
        if self.closing:
            self.failed(tag, "_NEVER_SENT", "the producer is being closed", "no")
            return
        try:
            self.producer.produce(record["topic"], base64.b64decode(record["value"]), None if key is None else base64.b64decode(key),
                                  record["partition"], on_delivery=lambda error, message: self.delivered(tag, error, message))
        except BufferError as error:
            self.failed(tag, "_QUEUE_FULL", str(error), "no")
        except KafkaException as error:  # produce() has queued nothing when it raises
            self.failed(tag, error.args[0].name(), error.args[0].str(), "no")

    def delivered(self, tag: int, error: KafkaError | None, message) -> None:
        if error is not None:
            self.failed(tag, error.name(), error.str(), "maybe")
            return
        offset = message.offset()
        self.results.append({"tag": tag, "offset": offset if offset is not None and offset >= 0 else -1})
        if len(self.results) >= RESULTS_MAX:
            self.flush_results()

    def failed(self, tag: int, error: str, text: str, persisted: str) -> None:
        say("failed", id=self.number, tag=tag, error=error, text=text, persisted=persisted)

    def on_error(self, error: KafkaError) -> None:
        if error.fatal() and not self.fatal:
            self.fatal = True
            say("fatal", id=self.number, error=error.name(), text=error.str())

    def flush_results(self) -> None:
        if self.results:
            say("sent", id=self.number, results=self.results)
            self.results = []

    def idle(self) -> None:
        self.serve(self.producer.poll, 0)
        self.flush_results()

    def serve(self, wait, timeout: float) -> None:
        """poll() or flush(), which run the callbacks. A producer that gave up raises its fatal error out of them, every time."""
        try:
            wait(timeout)
        except KafkaException as error:
            if not error.args[0].fatal():
                raise
            self.on_error(error.args[0])

    def close(self, timeout: float) -> None:
        self.serve(self.producer.flush, timeout)
        self.producer.purge(in_queue=True, in_flight=True, blocking=True)
        while len(self.producer):  # purged records are told like all others
            self.serve(self.producer.poll, 0.01)
        self.flush_results()


class ConsumerHost(Host):
    def __init__(self, number: int, config: dict):
        super().__init__(number)
        self.consumer = Consumer(properties(config, consumer=True))

    def perform(self, command: dict) -> None:
        what = command["cmd"]
        if what == "assign":
            self.consumer.assign([place(p) for p in command["positions"]])
            say("ready", id=self.number)
        elif what == "seek":
            self.consumer.seek(place(command))
            say("ready", id=self.number)
        elif what == "poll":
            self.poll(command["timeout_ms"] / 1000, command["max"])
        else:
            raise ValueError(f"a consumer does not {what}")

    def poll(self, timeout: float, most: int) -> None:
        """consume() waits for `most` records or the whole time; the first record ends the wait here."""
        records, errors = [], []
        first = self.consumer.poll(timeout)
        batch = [] if first is None else [first]
        if first is not None and most > 1:
            batch += self.consumer.consume(most - 1, 0)
        for message in batch:
            where = {"topic": message.topic(), "partition": message.partition()} if message.topic() is not None else {}
            if message.error() is None:
                row = where | {"offset": message.offset(), "value": text(message.value())}
                if message.key() is not None:
                    row["key"] = text(message.key())
                epoch = message.leader_epoch()
                if epoch is not None and epoch >= 0:
                    row["leader_epoch"] = epoch
                records.append(row)
            elif message.error().code() != KafkaError._PARTITION_EOF:
                errors.append(where | {"error": message.error().name(), "text": message.error().str()})
        say("polled", id=self.number, records=records, errors=errors)

    def close(self, timeout: float) -> None:
        self.consumer.close()


def text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def place(fields: dict) -> TopicPartition:
    offset = fields["offset"]
    return TopicPartition(fields["topic"], fields["partition"], confluent_kafka.OFFSET_BEGINNING if offset == FROM_START else offset)


def hello() -> None:
    say("hello", protocol=PROTOCOL, client="python", library="confluent-kafka", version=confluent_kafka.version(), features=[],
        runtime=f"Python {platform.python_version()}, librdkafka {confluent_kafka.libversion()[0]}")


def perform(command: dict, hosts: dict[int, Host]) -> None:
    what, number = command["cmd"], command.get("id")
    if what == "hello":
        hello()
    elif what == "ping":
        say("pong")
    elif what in ("producer", "consumer"):
        hosts[number] = (ProducerHost if what == "producer" else ConsumerHost)(number, command["config"])
        hosts[number].start()
        say("ready", id=number)
    elif what in ("send", "assign", "seek", "poll", "close"):
        host = hosts.pop(number, None) if what == "close" else hosts.get(number)
        if host is None:
            raise ValueError(f"there is no client {number}")
        host.accept(command)
    else:
        raise ValueError("unknown command")


def main() -> None:
    hosts: dict[int, Host] = {}
    for line in sys.stdin:
        command = json.loads(line)
        if command["cmd"] == "shutdown":
            break
        try:
            perform(command, hosts)
        except Exception as error:  # the harness decides what that means
            about = {"id": command["id"]} if "id" in command else {}
            say("error", cmd=command["cmd"], text=f"{type(error).__name__}: {error}", **about)


if __name__ == "__main__":
    main()
