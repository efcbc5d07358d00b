#!/usr/bin/env python3
"""Puts the sample library into a Carrel and asks it a question: ask.py ADDRESS CLIENT_JSON. Fails without a verified quote."""

import json
import pathlib
import sys
import time
import urllib.parse
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[3]
QUESTION = "How fast must the outer gate close?"
PATIENCE = 300


class Api:
    def __init__(self, address, client):
        self.address = address
        form = {"grant_type": "client_credentials", "client_id": client["client_id"], "client_secret": client["client_secret"]}
        answer = urllib.request.urlopen(f"{address}/oauth/token", urllib.parse.urlencode(form).encode(), timeout=30)
        self.token = json.load(answer)["access_token"]

    def call(self, path, body=None, kind="application/json"):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(f"{self.address}/api/v1{path}", data)
        request.add_header("Authorization", f"Bearer {self.token}")
        if data is not None:
            request.add_header("Content-Type", kind)
            request.add_header("Idempotency-Key", str(uuid.uuid4()))
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def upload(self, collection, path):
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        answer = self.call(f"/collections/{collection}/documents", body, f"multipart/form-data; boundary={boundary}")
        return answer["version_id"]


def wait(what, ask):
    deadline = time.monotonic() + PATIENCE
    while not (answer := ask()):
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come within {PATIENCE} s")
        time.sleep(1)
    return answer


def main():
    api = Api(sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text()))
    collection = api.call("/collections", {"name": f"proof {uuid.uuid4().hex[:8]}"})["id"]
    versions = [api.upload(collection, path) for path in sorted((ROOT / "examples/harbour-case/1-archive").rglob("*")) if path.is_file()]

    def ended(version):
        state = api.call(f"/versions/{version}")["version"]["state"]
        if state in ("failed", "held", "rejected"):
            sys.exit(f"version {version} is {state}")
        return state == "searchable"

    for version in versions:
        wait(f"version {version}", lambda version=version: ended(version))
    run = api.call("/research", {"question": QUESTION, "collections": [collection]})["id"]
    done = wait("the answer", lambda: (found := api.call(f"/research/{run}")) and found.get("finished_at") and found)
    claims = done["claims"]
    if not any(claim.get("citations") for claim in claims):
        sys.exit(f"no claim with a quote: {json.dumps(done)[:500]}")
    print(f"{len(versions)} documents, {len(claims)} claims with quotes")


if __name__ == "__main__":
    main()
