#!/usr/bin/env python3
"""Asks an API from several connections until it is told to stop, and says what became of every request.

    load.py URL CREDENTIALS SECONDS CONNECTIONS      prints one line of JSON

Each connection is kept, as a browser's or a program's is, and asks in turn for a page of collections, a search by words and a
report list. A request counts as failed when the connection breaks before its answer, or the answer is a 5xx. Nothing is tried
again.
"""

import http.client
import json
import sys
import threading
import time
import urllib.parse
import urllib.request


def token(url, credentials):
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials["client_id"],
        "client_secret": credentials["client_secret"],
    }
    request = urllib.request.Request(f"{url}/oauth/token", urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["access_token"]


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.statuses = {}
        self.failures = []
        self.milliseconds = []

    def add(self, status, milliseconds, failure=None):
        with self.lock:
            self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
            self.milliseconds.append(milliseconds)
            if failure:
                self.failures.append(failure)


def ask(url, bearer, until, tally):
    host = urllib.parse.urlsplit(url).netloc
    search = json.dumps({"query": "closing time of the gate", "mode": "lexical"})
    requests = [("GET", "/api/v1/collections", None), ("POST", "/api/v1/search", search), ("GET", "/api/v1/research", None)]
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(host, timeout=30)
    number = 0
    while time.monotonic() < until:
        method, path, body = requests[number % len(requests)]
        number += 1
        start = time.monotonic()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            failure = f"{method} {path}: {status}" if status >= 500 else None
        except OSError as error:
            status, failure = "broken", f"{method} {path}: {error!r}"
            connection.close()
        except http.client.HTTPException as error:
            status, failure = "broken", f"{method} {path}: {error!r}"
            connection.close()
        tally.add(status, (time.monotonic() - start) * 1000, failure)


def main():
    url, credentials, seconds, connections = sys.argv[1:]
    with open(credentials, encoding="utf-8") as file:
        bearer = token(url, json.load(file))
    tally = Tally()
    until = time.monotonic() + float(seconds)
    threads = [threading.Thread(target=ask, args=(url, bearer, until, tally)) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(tally.milliseconds)
    print(json.dumps({
        "requests": len(times),
        "failed": len(tally.failures),
        "statuses": tally.statuses,
        "p95_ms": round(times[int(len(times) * 0.95)]) if times else None,
        "max_ms": round(times[-1]) if times else None,
        "failures": tally.failures[:5],
    }))


if __name__ == "__main__":
    main()
