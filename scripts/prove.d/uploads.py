#!/usr/bin/env python3
"""Uploads small documents over one kept connection until a file appears, and says what became of every upload.

    uploads.py URL CREDENTIALS COLLECTION STOP_FILE      prints one line of JSON

Nothing is tried again: an upload that was not acknowledged counts as failed.
"""

import http.client
import json
import os
import sys
import time
import urllib.parse

from load import token


def collection(url, bearer, name):
    host = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/collections", json.dumps({"name": name}), headers)
    return json.load(connection.getresponse())["id"]


def main():
    url, credentials, name, stop = sys.argv[1:]
    with open(credentials, encoding="utf-8") as file:
        bearer = token(url, json.load(file))
    place = f"/api/v1/collections/{collection(url, bearer, name)}/documents"
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
    taken, failures = 0, []
    while not os.path.exists(stop):
        number = taken + len(failures)
        text = "\n\n".join(f"Letter {number}, paragraph {k}: gate number {number} closes in {k} seconds." for k in range(20))
        body = (
            f'--cut\r\nContent-Disposition: form-data; name="file"; filename="letter-{number}.txt"\r\n'
            f"Content-Type: text/plain\r\n\r\n{text}\r\n--cut--\r\n"
        ).encode()
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "multipart/form-data; boundary=cut"}
        try:
            connection.request("POST", place, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status in (200, 201, 202):
                taken += 1
            else:
                failures.append(f"{answer.status} {said[:120]!r}")
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
            connection.close()
        time.sleep(0.2)
    print(json.dumps({"taken": taken, "failed": len(failures), "failures": failures[:5]}))


main()
