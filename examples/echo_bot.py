#!/usr/bin/env python3
"""Answers each message with its text, once. Needs a running client: `sremp up`.

    python3 echo_bot.py [HOME]

Everything is the Python standard library's. Where the bot is is kept by the client: it acknowledges an
event after its answer is durable in the outbox, and the answer bears a key, so that a bot that is killed
between the two, at any moment, sends it once.
"""

import json
import os
import socket
import sys


class Client:
    """A connection to the socket of a home: one JSON object a line, each way."""

    def __init__(self, home):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(home, "sock"))
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\n")
        self.events = []
        self.last_id = 0

    def read(self):
        line = self.lines.readline()
        if not line:
            sys.exit("the client has ended; start it with `sremp up`, then this bot")
        return json.loads(line)

    def call(self, method, **params):
        """Asks and waits for the answer; events that come meanwhile are kept."""
        self.last_id += 1
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            said = self.read()
            if said.get("method") == "event":
                self.events.append(said["params"])
            elif said.get("id") == self.last_id:
                if "error" in said:
                    raise RuntimeError(said["error"]["message"])
                return said["result"]

    def next_event(self):
        while not self.events:
            said = self.read()
            if said.get("method") == "event":
                self.events.append(said["params"])
        return self.events.pop(0)


def main():
    default = os.path.expanduser("~/.local/share/sremp")
    home = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SREMP_HOME", default)
    client = Client(home)
    # after what was acknowledged; a bot with a place of its own would give it as `after`
    client.call("subscribe")
    print("ready", flush=True)
    while True:
        event = client.next_event()
        # strangers' texts come as requests, and are not answered; what is gone is not repeated
        if event["event"] == "message" and not event.get("gone"):
            try:
                client.call(
                    "send",
                    contact=event["from"],
                    # what somebody wrote is data: never a command, a format or a path
                    text="echo: " + event["text"][:10_000],
                    key="echo " + event["msg_id"],
                )
            except RuntimeError as refused:
                print("not answered:", refused, file=sys.stderr)
        client.call("ack", seq=event["seq"])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
