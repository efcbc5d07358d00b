"""What the measurements in Python share: a `carrel up` of their own, its API, texts, and the lines of the final table."""

import base64
import contextlib
import http.client
import json
import math
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]


def result(figure, target, measured, verdict):
    """A figure for the table at the end of scripts/bench; `verdict` is ok, MISSED, info or skipped."""
    if not isinstance(verdict, str):
        verdict = "ok" if verdict else "MISSED"
    print(f"{verdict:<8} {figure}: {measured}" + (f" (asked: {target})" if target else ""), flush=True)
    if table := os.environ.get("CARREL_BENCH_RESULTS"):
        bench = pathlib.Path(sys.argv[0]).stem
        with open(table, "a", encoding="utf-8") as file:
            file.write("\t".join([bench, figure, target, measured, verdict]) + "\n")


def percentile(values, percent):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def milliseconds(values):
    return f"p50 {percentile(values, 50):.2f} ms, p95 {percentile(values, 95):.2f} ms"


def load():
    """Load average of the last minute: what else the machine does, told beside every figure of time."""
    return f"load {os.getloadavg()[0]:.1f}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop_on_signals():
    """SIGTERM unwinds like Ctrl-C, so that every process started here is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextlib.contextmanager
def folder(name):
    """A temporary folder that the database's account may pass through."""
    with tempfile.TemporaryDirectory(prefix=f"carrel-{name}.") as path:
        os.chmod(path, 0o711)
        yield pathlib.Path(path)


class Carrel:
    """A running `carrel up` of the release build, on free loopback ports, with its data in `home`."""

    def __init__(self, home, program, settings=None):
        self.home, self.program = pathlib.Path(home), str(program)
        data = self.home / "data"
        data.mkdir(exist_ok=True)
        data.chmod(0o755)
        self.port = free_port()
        self.environment = os.environ | {
            "CARREL_DATA_DIR": str(data),
            "CARREL_CREDENTIALS": str(self.home / "credentials.json"),
            "CARREL__SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "CARREL__SERVER__METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            "CARREL__AI__LISTEN": f"127.0.0.1:{free_port()}",
        } | (settings or {})
        self.environment.pop("CARREL_URL", None)
        self.log = open(self.home / "carrel.log", "ab")
        self.process = subprocess.Popen(
            [self.program, "up"], env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.connection, self.token, self.token_until = None, None, 0.0

    def __enter__(self):
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.connection:
            self.connection.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(90)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def wait_until_ready(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                if self.get("/health/ready", authorised=False)[0] == 200 and self.bearer():
                    return
            time.sleep(0.1)
        sys.exit("carrel up did not become ready:\n" + (self.home / "carrel.log").read_text()[-3000:])

    def run(self, *arguments):
        """Runs the command-line client against this server and answers its JSON."""
        command = [self.program, "--json", "--url", f"http://127.0.0.1:{self.port}", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed: {done.stderr or done.stdout}")
        return json.loads(done.stdout)

    def bearer(self):
        if time.monotonic() > self.token_until:
            known = json.loads((self.home / "credentials.json").read_text())
            form = urllib.parse.urlencode({"grant_type": "client_credentials"})
            pair = base64.b64encode(f"{known['client_id']}:{known['client_secret']}".encode()).decode()
            headers = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {pair}"}
            status, body = self.exchange("POST", "/oauth/token", form, headers)
            if status != 200:
                raise ValueError(f"no token: {status} {body!r}")
            answer = json.loads(body)
            self.token, self.token_until = answer["access_token"], time.monotonic() + answer["expires_in"] / 2
        return {"authorization": f"Bearer {self.token}"}

    def exchange(self, method, path, body=None, headers=None):
        """One request over a connection that is kept; answers status and bytes."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.request(method, path, body, headers or {})
            reply = self.connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise

    def get(self, path, authorised=True):
        status, body = self.exchange("GET", path, None, self.bearer() if authorised else {})
        return status, json.loads(body) if authorised else body

    def post(self, path, body):
        headers = self.bearer() | {"content-type": "application/json"}
        status, answer = self.exchange("POST", path, json.dumps(body), headers)
        if status >= 300:
            sys.exit(f"POST {path} answered {status}: {answer[:500]!r}")
        return json.loads(answer)

    def settled(self, collection):
        """Waits until no document of the collection is on its way; answers how many can be found."""
        for state in ["received", "extracted"]:
            while self.get(f"/api/v1/collections/{collection}/documents?state={state}&limit=1")[1]["items"]:
                # Looking costs the server a little; half a second of a minute costs the figure less.
                time.sleep(0.5)
        failed = self.get(f"/api/v1/collections/{collection}/documents?state=failed&limit=5")[1]["items"]
        if failed:
            sys.exit(f"documents failed: {json.dumps(failed)[:1000]}")
        return self.get(f"/api/v1/collections/{collection}")[1]["documents"]

    def database(self):
        """Address parts of the private server, for the owner of the schema."""
        lines = (self.home / "data/postgres/cluster/postmaster.pid").read_text().splitlines()
        return {"host": lines[4], "port": lines[3], "dbname": "carrel", "user": "carrel_owner"}

    def processor_seconds(self):
        """Processor time of this process and everything below it, ended or not (proc(5))."""
        return tree_seconds(self.process.pid)


def tree_seconds(root):
    parents, seconds = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(entry.name)] = int(fields[1])
            # utime, stime, and those of children that have ended
            seconds[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid in parents:
        above = pid
        while above not in (root, 0, 1) and above in parents:
            above = parents[above]
        if above == root:
            total += seconds[pid]
    return total


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def corpus_texts(sets, longest=1_900, shortest=100):
    """Texts of the evaluation sets below CARREL_EVAL_DATA, in turn from each, so that any number of them is a mixture; short
    enough to stay one passage. Empty without the data."""
    data = os.environ.get("CARREL_EVAL_DATA")
    if not data or not (pathlib.Path(data) / "ir").is_dir():
        return []
    columns = []
    for name in sets:
        path = pathlib.Path(data) / "ir" / name / "corpus.jsonl"
        found = lines(path) if path.exists() else []
        texts = [f"{entry.get('title', '')}\n\n{entry['text']}".strip() for entry in found]
        columns.append([text for text in texts if shortest <= len(text) <= longest])
    longest_column = max((len(column) for column in columns), default=0)
    mixed = [
        column[row * len(column) // longest_column]
        for row in range(longest_column)
        for column in columns
        if column and (row == 0 or row * len(column) // longest_column != (row - 1) * len(column) // longest_column)
    ]
    return list(dict.fromkeys(mixed))


def made_up_texts(count, characters=800):
    """Texts out of this project's own sentences, for machines without the evaluation sets."""
    source = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    sentences = [part.strip() for part in source.replace("\n", " ").split(". ") if 30 < len(part.strip()) < 300]
    chance = random.Random(7)
    texts = []
    for number in range(count):
        text = f"Note {number}"
        while len(text) < characters:
            text += ". " + chance.choice(sentences)
        texts.append(text)
    return texts
