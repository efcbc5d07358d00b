"""The measuring half of scripts/bench.d/search; see there, and search.sql for how real passages become 100,000."""

import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

import carrel
import numpy
import psycopg

MOST_RATIO = 1.5
LEAST_RECALL = 0.95
MOST_LEXICAL_MS = 10.0
# The first place is asked more, because its figures are judged by time.
QUERIES, FEWER, WARM, BLOCK, TOP = 300, 100, 60, 50, 10
# Differences of the cosine below this are ties: half precision has about three digits.
TIE = 1e-4
# Like the pool of libs/storage/src/database.rs: what the services set on every connection.
SESSION = {
    "role": "carrel_app",
    "search_path": "carrel,public",
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": "120",
}


def questions():
    """Questions of the evaluation sets, shuffled once and for all."""
    data = os.environ.get("CARREL_EVAL_DATA")
    found = []
    if data and (pathlib.Path(data) / "ir").is_dir():
        for name in ["squad2-dev", "xquad-en", "cranfield"]:
            path = pathlib.Path(data) / "ir" / name / "queries.jsonl"
            found += [entry["text"] for entry in carrel.lines(path)] if path.exists() else []
    if not found:
        words = re.findall(r"[A-Za-z]{3,}", " ".join(carrel.made_up_texts(50)))
        chance = random.Random(11)
        found = [" ".join(chance.choices(words, k=10)) for _ in range(2_000)]
    found = list(dict.fromkeys(found))
    random.Random(5).shuffle(found)
    return found


def fill(program, home, passages):
    """Real documents through the product, then copies in SQL."""
    texts = carrel.corpus_texts(["squad2-dev", "cranfield", "xquad-en"]) or carrel.made_up_texts(2_600)
    texts = texts[:passages]
    files = home / "files"
    files.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (files / f"{number:06d}.txt").write_text(text, encoding="utf-8")
    with carrel.Carrel(home, program) as server:
        added = server.run("add", files, "--collection", "bench")
        count = server.settled(added["collection_id"])
        print(f"{count} documents through the product", flush=True)
        while any(server.get(f"/api/v1/jobs?state={state}&limit=1")[1]["items"] for state in ["available", "running"]):
            time.sleep(0.5)
        began = time.perf_counter()
        with psycopg.connect(**server.database(), autocommit=True) as owner:
            owner.execute("select set_config('bench.passages', %s, false), set_config('bench.collection', %s, false)",
                          (str(passages), added["collection_id"]))
            owner.execute((pathlib.Path(__file__).with_suffix(".sql")).read_text(encoding="utf-8"))
            owner.execute("vacuum analyze")
            held = owner.execute("select count(*) from carrel.passage where searchable").fetchone()[0]
    print(f"{held} passages after copying, {time.perf_counter() - began:.0f} s", flush=True)


@contextlib.contextmanager
def owner(server):
    with psycopg.connect(**server.database(), autocommit=True) as connection:
        yield connection


class Place:
    """One way to search: a name, how many queries it gets, and what the request has beside the query."""

    def __init__(self, name, queries, **body):
        self.name, self.queries, self.body = name, queries, body

    def request(self, query, mode="hybrid"):
        return {"query": query, "mode": mode, "limit": TOP} | self.body


def capture(home, program, places, asked, ten_words):
    """What the server runs for each request, out of its own log: statement, parameters, and how long each step took."""
    role = "alter role carrel_service"
    with carrel.Carrel(home, program) as server, owner(server) as connection:
        connection.execute(f"{role} set log_min_duration_statement = 0")
        connection.execute(f"{role} set log_error_verbosity = 'default'")
    log = home / "data/postgres/server.log"
    seen, answers = {}, {}
    with carrel.Carrel(home, program, {"CARREL__TELEMETRY__LOG_FILTER": "warn"}) as server:
        wanted = [
            (place, mode, query)
            for place in places
            for mode in ("hybrid", "semantic")
            for query in asked[: place.queries]
        ]
        wanted += [(places[0], "lexical", query) for query in ten_words]
        for query in asked[:5]:
            server.post("/api/v1/search", places[0].request(query))
        offset = log.stat().st_size
        for place, mode, query in wanted:
            hits = server.post("/api/v1/search", place.request(query, mode))["hits"]
            answers[place.name, mode, query] = hits
        with owner(server) as connection:
            connection.execute(f"{role} reset all")
    with open(log, "rb") as file:
        file.seek(offset)
        entries = parse(file.read().decode("utf-8", "replace"))
    runs = [entry for entry in entries if entry["step"] == "execute" and entry["sql"].startswith("with scope as")]
    if len(runs) != len(wanted):
        sys.exit(f"the log shows {len(runs)} searches where {len(wanted)} were asked for")
    for key, entry in zip(((place.name, mode, query) for place, mode, query in wanted), runs, strict=True):
        seen[key] = entry
    return seen, answers


ENTRY = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] (?:\S+ )?LOG:  duration: (?P<ms>[\d.]+) ms  (?P<step>parse|bind|execute|statement)(?: [^:\n]*)?: "
    r"(?P<sql>.*?)(?=^\S+ \S+ \S+ \[\d+\] )",
    re.DOTALL | re.MULTILINE,
)
DETAIL = re.compile(r"^\S+ \S+ \S+ \[\d+\] (?:\S+ )?DETAIL:  [Pp]arameters: (?P<values>.*?)(?=^\S+ \S+ \S+ \[\d+\] |\Z)",
                    re.DOTALL | re.MULTILINE)
VALUE = re.compile(r"\$\d+ = (?:'((?:[^']|'')*)'|(NULL))")


def parse(text):
    """Entries of a log of statements, each with its parameters as text."""
    entries = []
    for found in ENTRY.finditer(text + "0000-00-00 00:00 UTC [0] "):
        entry = {"ms": float(found["ms"]), "step": found["step"], "sql": found["sql"].replace("\n\t", "\n").strip()}
        if detail := DETAIL.match(text, found.end()):
            entry["values"] = [
                None if null else value.replace("''", "'") for value, null in VALUE.findall(detail["values"])
            ]
        entries.append(entry)
    return entries


class Direct:
    """A connection like the services' own, on which captured statements run prepared."""

    def __init__(self, server):
        options = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
        address = server.database() | {"user": "carrel_service", "options": options}
        self.connection = psycopg.connect(**address, autocommit=True, prepare_threshold=None)
        self.cursor = psycopg.RawCursor(self.connection)
        with owner(server) as connection:
            workspace = connection.execute("select id from carrel.workspace").fetchone()[0]
        self.cursor.execute("begin")
        self.cursor.execute(f"set local carrel.workspace = '{workspace}'")
        self.pid = self.connection.info.backend_pid

    def run(self, entry, prefix=""):
        # An unfiltered statement does not name its last parameters, and nothing else could tell their types.
        named = max(int(number) for number in re.findall(r"\$(\d+)", entry["sql"]))
        self.cursor.execute(prefix + entry["sql"], entry["values"][:named], prepare=not prefix)

    def timed(self, entry):
        began = time.perf_counter()
        self.run(entry)
        return (time.perf_counter() - began) * 1e3

    def processor_ms(self, entry):
        """Time of the server's process on a processor (/proc/PID/schedstat, nanoseconds)."""
        path = pathlib.Path(f"/proc/{self.pid}/schedstat")
        before = int(path.read_text().split()[0])
        self.run(entry)
        return (int(path.read_text().split()[0]) - before) / 1e6

    def plan(self, entry):
        self.run(entry, "explain (analyze, buffers, settings) ")
        return "\n".join(row[0] for row in self.cursor.fetchall())


class Embedder:
    """The built-in engine alone, one query at a time."""

    def __init__(self, arguments, directory):
        self.source, self.target = pathlib.Path(directory) / "text.json", pathlib.Path(directory) / "vector.f32"
        command = [arguments.embedder, arguments.model, str(arguments.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def timed(self, query):
        self.source.write_text(json.dumps([query]), encoding="utf-8")
        self.process.stdin.write(f"int8 {self.source} {self.target}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        while answer and answer[0] == "loaded":
            answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit("embed_bench stopped; see above")
        return float(answer[0]) * 1e3

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def read_once(home):
    """Brings the database's files into the page cache, where those of a server in use are."""
    for path in (home / "data/postgres/cluster/base").rglob("*"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            while file.read(1 << 20):
                pass


def measure_latency(server, embedder, places, asked, seen):
    """API, SQL and embedding of each query; in blocks in turn, so that whatever else the machine does hits all alike."""
    def ask(query, place):
        began = time.perf_counter()
        server.post("/api/v1/search", place.request(query))
        return (time.perf_counter() - began) * 1e3

    direct = Direct(server)
    for query in asked[QUERIES : QUERIES + WARM]:
        server.post("/api/v1/search", places[0].request(query))
        embedder.timed(query)
    for query in asked[:WARM]:
        direct.run(seen[places[0].name, "hybrid", query])
    for place in places:
        # A query is embedded once and then remembered; only the first place pays for it.
        api, sql, embedding = [], [], []
        read_once(server.home)
        for first in range(0, place.queries, BLOCK):
            block = asked[first : first + BLOCK]
            # Whoever comes second finds the pages in memory, so each is first as often as the other.
            for side in (api, sql) if first // BLOCK % 2 else (sql, api):
                side += [ask(query, place) if side is api else direct.timed(seen[place.name, "hybrid", query]) for query in block]
            if place is places[0]:
                embedding += [embedder.timed(query) for query in block]
        where = f"{place.name}, {carrel.load()}"
        if place is not places[0]:
            print(f"hybrid, {where}: API (vector remembered) {carrel.milliseconds(api)}; SQL {carrel.milliseconds(sql)}", flush=True)
            continue
        carrel.result("POST /search, hybrid", "", f"{carrel.milliseconds(api)} ({where})", "info")
        carrel.result("the same SQL run directly", "", carrel.milliseconds(sql), "info")
        carrel.result("embedding of the query", "", carrel.milliseconds(embedding), "info")
        ratio = carrel.percentile(api, 50) / (carrel.percentile(sql, 50) + carrel.percentile(embedding, 50))
        carrel.result("p50 of the API / (SQL + embedding)", f"<= {MOST_RATIO}", f"{ratio:.2f}", ratio <= MOST_RATIO)
    direct.connection.close()


def measure_words(server, ten_words, seen, name):
    direct = Direct(server)
    entries = [seen[name, "lexical", query] for query in ten_words]
    for entry in entries[:WARM]:
        direct.run(entry)
    processor = [direct.processor_ms(entry) for entry in entries]
    wall = [direct.timed(entry) for entry in entries]
    direct.connection.close()
    print(f"lexical statement, {len(entries)} questions of ten words: {carrel.milliseconds(wall)} on the clock")
    p95 = carrel.percentile(processor, 95)
    measured = f"{p95:.2f} ms (p50 {carrel.percentile(processor, 50):.2f}, most {max(processor):.2f})"
    carrel.result("processor time of the lexical statement, p95", f"<= {MOST_LEXICAL_MS:.0f} ms", measured, p95 <= MOST_LEXICAL_MS)


def measure_recall(server, places, asked, seen, answers):
    """Hits of the semantic mode, which are the vector part's best, against the exact best ten by the same vectors."""
    with owner(server) as connection:
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(
                "select e.vector, p.version_id::text || ':' || p.ordinal, p.collection_id::text, d.metadata->>'tenth',"
                " d.metadata->>'hundredth'"
                " from carrel.embedding_1 e join carrel.passage p on p.no = e.passage_no"
                " join carrel.document d on d.id = p.document_id where e.searchable"
            ).fetchall()
    # halfvec on the wire: dimension and an unused field, 16 bits each, then big-endian halves.
    vectors = numpy.stack([numpy.frombuffer(row[0], dtype=">f2", offset=4).astype(numpy.float32) for row in rows])
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    column = {row[1]: index for index, row in enumerate(rows)}
    for place in places:
        wanted = dict(place.body.get("filter", {}).get("metadata", {}))
        collections = place.body.get("collections")
        mask = numpy.array([
            (not collections or row[2] in collections)
            and all(row[3 if field == "tenth" else 4] == str(value) for field, value in wanted.items())
            for row in rows
        ])
        found = []
        for query in asked[: place.queries]:
            vector = numpy.array(json.loads(seen[place.name, "semantic", query]["values"][2]), dtype=numpy.float32)
            cosines = vectors @ (vector / numpy.linalg.norm(vector))
            cosines[~mask] = -2.0
            # A place may hold fewer than ten.
            wanted_hits = min(TOP, int(mask.sum()))
            tenth = numpy.partition(cosines, -wanted_hits)[-wanted_hits]
            hits = [f"{hit['version_id']}:{hit['passage']['ordinal']}" for hit in answers[place.name, "semantic", query]]
            found.append(sum(bool(cosines[column[hit]] >= tenth - TIE) for hit in hits) / wanted_hits)
        recall = sum(found) / len(found)
        measured = f"{recall:.4f} (least {min(found):.1f}; {int(mask.sum())} of {len(rows)} passages)"
        carrel.result(f"recall@{TOP} of the vectors, {place.name}", f">= {LEAST_RECALL}", measured, recall >= LEAST_RECALL)


def main():
    parser = argparse.ArgumentParser()
    for name in ["program", "embedder", "model"]:
        parser.add_argument(f"--{name}", required=True)
    for name in ["passages", "threads"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    carrel.stop_on_signals()
    with contextlib.ExitStack() as stack:
        if kept := os.environ.get("CARREL_BENCH_HOME"):
            home = pathlib.Path(kept)
            home.mkdir(mode=0o711, parents=True, exist_ok=True)
        else:
            home = stack.enter_context(carrel.folder("search"))
        bench(arguments, home, stack.enter_context(tempfile.TemporaryDirectory()))


def bench(arguments, home, scratch):
    mark = home / "filled"
    if not mark.exists():
        fill(arguments.program, home, arguments.passages)
        mark.write_text(str(arguments.passages))
    elif mark.read_text() != str(arguments.passages):
        sys.exit(f"{home} was filled with {mark.read_text()} passages; name another folder")

    with carrel.Carrel(home, arguments.program) as server:
        named = {item["name"]: item["id"] for item in server.get("/api/v1/collections")[1]["items"]}
    places = [
        Place("everywhere", QUERIES),
        Place("filter that lets 10 % through", FEWER, filter={"metadata": {"tenth": 3}}),
        Place("filter that lets 1 % through", FEWER, filter={"metadata": {"hundredth": 7}}),
        Place("collection of 10 %", FEWER, collections=[named["tenth"]]),
        Place("collection of 1 %", FEWER, collections=[named["hundredth"]]),
    ]
    every = questions()
    asked = every[: QUERIES + WARM]
    ten_words = [query for query in every if len(query.split()) == 10][:QUERIES]
    seen, answers = capture(home, arguments.program, places, asked[:QUERIES], ten_words)
    if explain := os.environ.get("CARREL_BENCH_EXPLAIN"):
        with carrel.Carrel(home, arguments.program) as server:
            direct = Direct(server)
            shown = [(place.name, "hybrid", asked[0]) for place in places] + [(places[0].name, "lexical", ten_words[0])]
            plans = [f"== {name}, {mode}: {query}\n{direct.plan(seen[name, mode, query])}\n" for name, mode, query in shown]
            direct.connection.close()
        pathlib.Path(explain).write_text("\n".join(plans), encoding="utf-8")

    # A fresh server: its log is quiet again, and it remembers no query.
    embedder = Embedder(arguments, scratch)
    try:
        with carrel.Carrel(home, arguments.program) as server:
            measure_latency(server, embedder, places, asked, seen)
            measure_words(server, ten_words, seen, places[0].name)
            measure_recall(server, places, asked[:QUERIES], seen, answers)
    finally:
        embedder.close()


if __name__ == "__main__":
    main()
