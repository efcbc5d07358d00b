"""Open WebUI as a peer: a server of its own, and its documented way from files to a knowledge base that can be searched.

Its users upload a file, which is stored, read, split, embedded and indexed by itself (`POST /api/v1/files/`), and add it to
a knowledge base, which embeds it again (`POST /api/v1/knowledge/{id}/file/add`, or `…/files/batch/add` for many, which
embeds them together and is the faster one). Needs nothing but the standard library; the package lives in a venv of its own.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import secrets
import subprocess
import sys
import time

import carrel

# Uploads at once; see docs/BENCHMARKS.md for what more and fewer of them gave.
AT_ONCE = 4


class OpenWebUI:
    """A running `open-webui serve` on a free loopback port, with its data in `home`, offline, signed in as its first user."""

    def __init__(self, home, program, model):
        self.home = pathlib.Path(home)
        self.port = carrel.free_port()
        self.headers = {}
        environment = os.environ | {
            "DATA_DIR": str(self.home / "data"),
            "WEBUI_SECRET_KEY": secrets.token_hex(24),
            "GLOBAL_LOG_LEVEL": "ERROR",
            "OFFLINE_MODE": "true",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "CUDA_VISIBLE_DEVICES": "",
            "ANONYMIZED_TELEMETRY": "False",
            "DO_NOT_TRACK": "true",
            "SCARF_NO_ANALYTICS": "true",
            "ENABLE_OLLAMA_API": "false",
            "ENABLE_OPENAI_API": "false",
            "VECTOR_DB": "chroma",
            "ENABLE_RAG_HYBRID_SEARCH": "false",
            "RAG_EMBEDDING_MODEL": str(model),
            # As many as sentence-transformers takes by itself; Open WebUI's own default is one text at a time.
            "RAG_EMBEDDING_BATCH_SIZE": "32",
            # Characters: every text is one chunk.
            "CHUNK_SIZE": "4000",
            "CHUNK_OVERLAP": "0",
        }
        (self.home / "data").mkdir()
        self.log = open(self.home / "open-webui.log", "ab")
        self.process = subprocess.Popen(
            [str(program), "serve", "--host", "127.0.0.1", "--port", str(self.port)],
            env=environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def __enter__(self):
        try:
            self.wait_until_ready()
            account = {"name": "bench", "email": "bench@localhost.example", "password": secrets.token_hex(16)}
            self.headers = {"authorization": f"Bearer {self.post('/api/v1/auths/signup', account)['token']}"}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def wait_until_ready(self):
        # It imports several gigabytes of packages, which a cold disk takes minutes for.
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.exchange("GET", "/health")[0] == 200:
                    return
            time.sleep(0.2)
        self.give_up("Open WebUI did not become ready")

    def give_up(self, why):
        sys.exit(f"{why}; its log ends with\n{(self.home / 'open-webui.log').read_text(errors='replace')[-3000:]}")

    def exchange(self, method, path, body=None, headers=None):
        """One request over a connection of its own, because those that wait are closed; answers status and bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            connection.request(method, path, body, self.headers | (headers or {}))
            reply = connection.getresponse()
            return reply.status, reply.read()

    def post(self, path, body, content_type="application/json"):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = self.exchange("POST", path, payload, {"content-type": content_type})
        if status >= 300:
            self.give_up(f"POST {path} answered {status}: {answer[:500]!r}")
        return json.loads(answer)

    def upload(self, path):
        """Stores, reads, embeds and indexes one file; answers its id when that is done."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{path.name}"\r\n'
            "content-type: text/plain\r\n\r\n"
        )
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        form = f"multipart/form-data; boundary={boundary}"
        return self.post("/api/v1/files/?process_in_background=false", body, form)["id"]

    def add(self, name, files):
        """A knowledge base of these files; answers its id and the seconds of the uploads alone."""
        knowledge = self.post("/api/v1/knowledge/create", {"name": name, "description": name})["id"]
        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            ids = list(pool.map(self.upload, files))
        uploaded = time.perf_counter() - began
        answer = self.post(f"/api/v1/knowledge/{knowledge}/files/batch/add", [{"file_id": one} for one in ids])
        if answer.get("warnings") or len(answer["files"]) != len(files):
            self.give_up(f"Open WebUI took {len(answer['files'])} of {len(files)} files: {answer.get('warnings')}")
        return knowledge, uploaded

    def search(self, knowledge, query):
        """Names of the files whose chunks are nearest to the query."""
        body = {"collection_names": [knowledge], "query": query, "k": 10}
        answer = self.post("/api/v1/retrieval/query/collection", body)
        return [chunk["name"] for chunk in answer["metadatas"][0]]


def ingest(program, model, documents, warm, home):
    """Seconds to searchable, to uploaded, and of processor, for texts of which the last `warm` are not measured."""
    files = []
    for number, text in enumerate(documents):
        files.append(home / f"{number:06d}.txt")
        files[-1].write_text(text, encoding="utf-8")
    with OpenWebUI(home, program, model) as server:
        server.add("warm", files[-warm:])
        files = files[:-warm]
        busy = carrel.tree_seconds(server.process.pid)
        began = time.perf_counter()
        knowledge, uploaded = server.add("bench", files)
        found = server.search(knowledge, documents[len(files) - 1])
        elapsed = time.perf_counter() - began
        busy = carrel.tree_seconds(server.process.pid) - busy
    if files[-1].name not in found:
        sys.exit(f"Open WebUI did not find the last document: {found}")
    return elapsed, uploaded, busy
