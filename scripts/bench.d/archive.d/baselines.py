"""The measuring half of archive.d/baselines; see there."""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import time

import carrel
import psycopg

# Originals and audit entries in which a bit is changed.
CHANGED = 100


def timed(work, rounds=5):
    """Median seconds of some rounds, and what the last one answered."""
    seconds, answer = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        answer = work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), answer


def freeze(server, home, count):
    files = home / "files"
    files.mkdir()
    for number in range(count):
        (files / f"{number:06d}.txt").write_text(f"Note {number} of the lock: the gate was closed at {number} s.\n")
    collection = server.run("add", files, "--collection", "bench")["collection_id"]
    server.settled(collection)
    names = iter(range(100))

    def once():
        return server.post("/api/v1/baselines", {"name": f"frozen {next(names)}", "collections": [collection]})

    seconds, made = timed(once)
    whole = made["documents"] == count
    carrel.result(
        f"a baseline of {made['documents']:,} documents", "1 s", f"{seconds:.2f} s, {carrel.load()}", whole and seconds <= 1
    )
    return collection


def megabyte(chance):
    words = [f"word{number}" for number in range(5_000)]
    lines, length = [], 0
    while length < 1_000_000:
        line = " ".join(chance.choices(words, k=12)) + "."
        lines.append(line)
        length += len(line) + 1
    return lines


def versions_of(server, home, name, texts):
    """Adds the texts as versions of one document and answers their ids, oldest first."""
    file = home / name
    for text in texts:
        file.write_text(text)
        added = server.run("add", file, "--collection", "texts", "--wait")
    collection = added["collection_id"]
    listed = server.get(f"/api/v1/collections/{collection}/documents?limit=50")[1]["items"]
    document = next(item["id"] for item in listed if item["name"] == name)
    found = server.get(f"/api/v1/documents/{document}/versions")[1]
    return [version["id"] for version in sorted(found, key=lambda version: version["number"])]


def compare(server, home):
    chance = random.Random(5)
    first = megabyte(chance)
    revised = [line.replace("word1", "term1", 1) if chance.random() < 0.02 else line for line in first]
    other = megabyte(chance)
    for what, after in [("one line in fifty changed", revised), ("nothing in common but words", other)]:
        name = f"{what}.txt"
        before, later = versions_of(server, home, name, ["\n".join(first), "\n".join(after)])
        seconds, found = timed(lambda: server.get(f"/api/v1/versions/{later}/diff?from={before}")[1])
        asked = f"{len(found['differences']):,} differences{', cut' if found['truncated'] else ''}"
        carrel.result(f"a diff of two texts of 1 MB, {what}", "1 s", f"{seconds:.2f} s ({asked})", seconds <= 1)


def bundle(program, example, home):
    path = home / "bundle.zip"
    printed = subprocess.run([example, path], check=True, capture_output=True, text=True).stdout
    print(printed.strip())
    figures = dict(line.split()[1:] for line in printed.splitlines() if line.startswith("figure "))
    seconds, _ = timed(lambda: subprocess.run([program, "verify", path], check=True, capture_output=True))
    carrel.result(
        "a bundle of 100 quotes is verified", "1 s", f"{seconds:.2f} s as a program, {figures['verify_seconds']} s within",
        seconds <= 1,
    )
    found, flips = int(figures["flips_found"]), int(figures["flips"])
    carrel.result("changed bits found in the bundle", "100 %", f"{found} of {flips}", found == flips)


def admin(server, *arguments):
    """A check that ends with an error when it finds something; answers its JSON."""
    command = [server.program, "--json", "admin", *arguments]
    owner = server.database()
    environment = server.environment | {
        "CARREL__DATABASE__ADMIN_URL": "postgres://{user}@localhost:{port}/{dbname}?host={host}".format(**owner)
    }
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if not done.stdout.strip():
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr}")
    return json.loads(done.stdout)


def originals(server, home):
    chance = random.Random(11)
    stored = sorted(path for path in (home / "data").rglob("originals/*/*/*") if path.is_file())
    for path in chance.sample(stored, CHANGED):
        bytes_ = bytearray(path.read_bytes())
        bytes_[chance.randrange(len(bytes_))] ^= 1 << chance.randrange(8)
        path.chmod(0o600)
        path.write_bytes(bytes_)
    found = admin(server, "store", "check")["counts"].get("damaged", 0)
    carrel.result("changed bits found in originals", "100 %", f"{found} of {CHANGED}", found == CHANGED)


def sound(server):
    return all(workspace["sound"] for workspace in admin(server, "audit", "verify"))


def trail(server):
    """Changes one bit of one entry at a time, the way the database's owner could, and puts it back."""
    chance = random.Random(13)
    found = 0
    with psycopg.connect(**server.database(), autocommit=True) as owner:
        owner.execute("set session_replication_role = replica")
        # Every entry of this moment must be under a seal; they are made every few seconds.
        last = owner.execute("select max(seq) from carrel.audit_entry").fetchone()[0]
        deadline = time.monotonic() + 60
        unsealed = (
            "select count(*) from carrel.audit_entry e where seq <= %s and not exists"
            " (select from carrel.audit_link l where l.workspace_id = e.workspace_id and l.seq = e.seq)"
        )
        while owner.execute(unsealed, [last]).fetchone()[0]:
            if time.monotonic() > deadline:
                raise SystemExit("the audit trail is not sealed")
            time.sleep(1)
        rows = owner.execute("select seq from carrel.audit_entry where seq <= %s order by seq", [last]).fetchall()
        for (seq,) in chance.sample(rows, CHANGED // 4):
            action = owner.execute("select action from carrel.audit_entry where seq = %s", [seq]).fetchone()[0]
            bytes_ = bytearray(action.encode())
            # The lowest bits of a letter leave a letter or a sign.
            bytes_[chance.randrange(len(bytes_))] ^= 1 << chance.randrange(3)
            owner.execute("update carrel.audit_entry set action = %s where seq = %s", [bytes_.decode(), seq])
            found += not sound(server)
            owner.execute("update carrel.audit_entry set action = %s where seq = %s", [action, seq])
        restored = sound(server)
    flips = CHANGED // 4
    carrel.result("changed bits found in the audit trail", "100 %", f"{found} of {flips}", found == flips and restored)


def main():
    parser = argparse.ArgumentParser()
    for name in ["program", "bundle"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--documents", type=int, required=True)
    arguments = parser.parse_args()
    carrel.stop_on_signals()
    with carrel.folder("archive") as home:
        bundle(arguments.program, arguments.bundle, home)
        with carrel.Carrel(home, pathlib.Path(arguments.program)) as server:
            compare(server, home)
            freeze(server, home, arguments.documents)
            originals(server, home)
            trail(server)


if __name__ == "__main__":
    main()
