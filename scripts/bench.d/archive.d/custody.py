"""The measuring half of archive.d/custody; see there."""

import argparse
import base64
import collections
import http.client
import json
import pathlib
import statistics
import subprocess
import threading
import time
import urllib.parse

import carrel
import psycopg

CONNECTIONS = 8
# Uploads of one connection in one round.
UPLOADS = 60
ROUNDS = 3
BYTES = 1_024
# Seconds between two looks at what waits.
LOOK = 0.002


class Sender:
    """A client of one workspace, with a collection and a connection of its own."""

    def __init__(self, server, workspace, name):
        owner = server.database()
        environment = server.environment | {
            "CARREL__DATABASE__ADMIN_URL": "postgres://{user}@localhost:{port}/{dbname}?host={host}".format(**owner)
        }
        command = [server.program, "--json", "admin", "client", "create", name, "--workspace", workspace]
        made = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        pair = base64.b64encode(f"{made['client_id']}:{made['client_secret']}".encode()).decode()
        form = urllib.parse.urlencode({"grant_type": "client_credentials"})
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {pair}"}
        self.token = json.loads(self.exchange("/oauth/token", form, headers))["access_token"]
        body = json.dumps({"name": name})
        self.collection = json.loads(self.exchange("/api/v1/collections", body, {"content-type": "application/json"}))["id"]
        self.name, self.sent, self.seconds = name, 0, []

    def exchange(self, path, body, headers):
        if "authorization" not in headers:
            headers = headers | {"authorization": f"Bearer {self.token}"}
        self.connection.request("POST", path, body, headers)
        reply = self.connection.getresponse()
        answer = reply.read()
        if reply.status >= 300:
            raise SystemExit(f"POST {path} answered {reply.status}: {answer[:300]!r}")
        return answer

    def upload(self):
        self.sent += 1
        name = f"{self.name}-{self.sent}.txt"
        text = f"Note {name} of the lock. ".ljust(BYTES, "x")
        body = (
            f'--b\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
            f"content-type: text/plain\r\n\r\n{text}\r\n--b--\r\n"
        )
        began = time.perf_counter()
        headers = {"content-type": "multipart/form-data; boundary=b"}
        self.exchange(f"/api/v1/collections/{self.collection}/documents", body, headers)
        self.seconds.append(time.perf_counter() - began)


class Waiting(threading.Thread):
    """Looks again and again at which sessions wait for a lock, and adds up for how long."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.seconds, self.done = address, collections.Counter(), threading.Event()

    def run(self):
        sql = (
            "select wait_event, count(*) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database() group by wait_event"
        )
        with psycopg.connect(**self.address, autocommit=True) as owner:
            last = time.perf_counter()
            while not self.done.is_set():
                waiting = owner.execute(sql, prepare=True).fetchall()
                now = time.perf_counter()
                for event, sessions in waiting:
                    self.seconds[event] += sessions * (now - last)
                last = now
                time.sleep(LOOK)


def measure(server, senders):
    """Uploads a second by all senders together, their latencies, and seconds that were waited for locks."""
    for sender in senders:
        sender.seconds = []
    threads = [threading.Thread(target=lambda sender=sender: [sender.upload() for _ in range(UPLOADS)]) for sender in senders]
    waiting = Waiting(server.database())
    waiting.start()
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    waiting.done.set()
    waiting.join()
    latencies = [value * 1_000 for sender in senders for value in sender.seconds]
    return len(latencies) / seconds, latencies, waiting.seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    arguments = parser.parse_args()
    carrel.stop_on_signals()
    # Nothing reads what arrives, so that only uploads are measured.
    settings = {f"CARREL__JOBS__QUEUES__{queue}": "0" for queue in ["INGEST", "AI"]}
    with carrel.folder("custody") as home, carrel.Carrel(home, pathlib.Path(arguments.program), settings) as server:
        shared = [Sender(server, "shared", f"shared {number}") for number in range(CONNECTIONS)]
        apart = [Sender(server, f"apart {number}", f"apart {number}") for number in range(CONNECTIONS)]
        ways = {"one connection": shared[:1], "one workspace": shared, "a workspace each": apart}
        for sender in shared + apart:
            sender.upload()
        found = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, senders in ways.items():
                found[way].append(measure(server, senders))
        rates = {}
        for way, rounds in found.items():
            rates[way] = statistics.median(rate for rate, _, _ in rounds)
            latencies = [value for _, values, _ in rounds for value in values]
            events = sum((seconds for _, _, seconds in rounds), collections.Counter())
            waits = {event: 1_000 * seconds / len(latencies) for event, seconds in events.items()}
            # Every commit that notifies holds PostgreSQL's one queue of notifications for a moment, chain or not.
            notifying = waits.pop("object", 0.0)
            waited = sum(waits.values())
            what = way if way == "one connection" else f"{CONNECTIONS} connections, {way}"
            told = (
                f"{rates[way]:.0f} a second, {carrel.milliseconds(latencies)}; each waits {waited:.2f} ms for locks of rows and"
                f" of the chain, {notifying:.2f} ms to notify; {carrel.load()}"
            )
            asked = "3 ms for locks" if way == "one workspace" else ""
            carrel.result(f"uploads of 1 KB, {what}", asked, told, waited <= 3 if asked else "info")
        ratio = rates["one workspace"] / rates["a workspace each"]
        carrel.result("uploads into one chain beside as many chains as connections", "0.8 x", f"{ratio:.2f} x", ratio >= 0.8)


if __name__ == "__main__":
    main()
