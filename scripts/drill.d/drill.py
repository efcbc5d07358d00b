"""What scripts/drill does that a shell should not: generates, asks, compares, flips bits. Called by it; each command says what it
found on standard output and fails when that is wrong."""

import datetime
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

WORDS = "harbour gate lock crane berth quay tide pilot ballast hull anchor chart buoy draught keel mooring signal vessel".split()


def run(carrel, *arguments, check=True):
    done = subprocess.run([carrel, "--json", *arguments], capture_output=True, text=True)
    if check and done.returncode != 0:
        sys.exit(f"carrel {' '.join(arguments)} failed: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def generate(folder, documents, megabytes):
    """Documents that are searched, and large originals of random bytes, which nothing compresses."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    dice = random.Random(7)
    for number in range(int(documents)):
        paragraphs = []
        for paragraph in range(8):
            words = " ".join(dice.choice(WORDS) for _ in range(60))
            paragraphs.append(f"Report {number}, part {paragraph}: {words}. The gate closes after {100 + number} s.")
        (folder / f"report-{number}.txt").write_text("\n\n".join(paragraphs))
    for number in range(int(megabytes) // 16):
        (folder / f"large-{number}.bin").write_bytes(dice.randbytes(16 << 20))


def ask(carrel, questions, to):
    """The quotes of each answer, in their order, and the hits of a search for the same words."""
    answers = {}
    for line in open(questions, encoding="utf-8"):
        question = json.loads(line)["question"]
        if len(answers) == 12:
            break
        page = run(carrel, "ask", question, "--collection", "harbour-case")
        hits = run(carrel, "search", question, "--collection", "harbour-case")["hits"]
        answers[question] = {
            "quotes": [
                [citation["quote"], citation["version_id"], citation["span"]]
                for claim in page["claims"] for citation in claim["citations"]
            ],
            "hits": [[hit["version_id"], hit["passage"]["span"]] for hit in hits],
        }
    pathlib.Path(to).write_text(json.dumps(answers))


def compare(before, after):
    before, after = (json.loads(pathlib.Path(path).read_text()) for path in (before, after))
    quotes = sum(len(answer["quotes"]) for answer in before.values())
    different = [question for question in before if before[question] != after.get(question)]
    print(f"{len(before) - len(different)} of {len(before)} the same, {quotes} quotes" + "".join(f"; differs: {q}" for q in different[:3]))
    return not different and quotes > 0


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def write(carrel, to):
    """Adds one document after the other until it is ended, and notes when each was acknowledged."""
    folder = pathlib.Path(tempfile.mkdtemp())
    with open(to, "w", encoding="utf-8") as log:
        for number in range(100_000):
            text = f"Entry {number} of {now().isoformat()}: the tide was {number} cm.\n" * 5
            file = folder / f"entry-{number}.txt"
            file.write_text(text)
            done = subprocess.run([carrel, "--json", "add", str(file), "--collection", "log"], capture_output=True, text=True)
            if done.returncode == 0:
                log.write(json.dumps({"name": file.name, "sha256": hashlib.sha256(text.encode()).hexdigest(), "at": time.time()}) + "\n")
                log.flush()
            file.unlink()


def documents(carrel):
    """Name and SHA-256 of every document of every collection, read through the API."""
    import urllib.parse
    import urllib.request

    known = json.loads(pathlib.Path(os.environ["CARREL_CREDENTIALS"]).read_text())
    url = known["url"].rstrip("/")
    form = {"grant_type": "client_credentials", "client_id": known["client_id"], "client_secret": known["client_secret"]}
    with urllib.request.urlopen(f"{url}/oauth/token", urllib.parse.urlencode(form).encode(), timeout=10) as answer:
        bearer = json.load(answer)["access_token"]

    def get(path):
        request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Bearer {bearer}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def pages(path):
        cursor = None
        while True:
            body = get(path + ("&" if "?" in path else "?") + "limit=100" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
            yield from body["items"]
            cursor = body.get("next_cursor")
            if not cursor:
                return

    found = {}
    for collection in pages("/api/v1/collections"):
        for document in pages(f"/api/v1/collections/{collection['id']}/documents"):
            latest = document.get("latest") or {}
            found[document["id"]] = [document["name"], latest.get("sha256"), latest.get("size")]
    return found


def state(carrel, to):
    pathlib.Path(to).write_text(json.dumps(documents(carrel)))


def digests(before, after, written, incremental, destroyed, backed_up):
    """Every document that was acknowledged before the last backup began is there with its digest; nothing else is."""
    before, after = (json.loads(pathlib.Path(path).read_text()) for path in (before, after))
    begun = datetime.datetime.fromisoformat(json.loads(pathlib.Path(incremental).read_text())["started_at"]).timestamp()
    entries = list(map(json.loads, open(written, encoding="utf-8")))
    early = {entry["sha256"] for entry in entries if entry["at"] < begun}
    lost = {id for id in before if id not in after}
    # The last one may have been taken without its writer having heard so.
    wrongly = [before[id] for id in lost if before[id][1] in early or not before[id][0].startswith("entry-")]
    different = [before[id] for id in before if id in after and before[id] != after[id]]
    unknown = [after[id] for id in after if id not in before]
    print(f"{len(after)} documents with equal digests, {len(lost)} written after the backup are gone, {len(wrongly)} others missing, {len(different)} different")
    return not wrongly and not different and not unknown and len(after) > 0


def rpo(after, written, destroyed):
    there = {document[1] for document in json.loads(pathlib.Path(after).read_text()).values()}
    times = [entry["at"] for entry in map(json.loads, open(written, encoding="utf-8")) if entry["sha256"] in there]
    print(f"{float(destroyed) - max(times):.1f}" if times else "nothing survived")


def first_answer(carrel):
    deadline = time.time() + 60
    while time.time() < deadline:
        if run(carrel, "search", "closing time of the gate", check=False):
            return True
        time.sleep(0.1)
    sys.exit("no answer within a minute")


def flip(carrel, folder):
    """One bit in each of up to 200 files at once, chunks and manifests; one file cut off and one removed. Each must be named."""
    files = [path for path in pathlib.Path(folder).rglob("*") if path.is_file() and path.name != "key.age"]
    manifests = [path for path in files if path.suffix == ".jws"]
    dice = random.Random(11)
    chosen = dice.sample([path for path in files if path.suffix != ".jws"], min(200, len(files) - len(manifests) - 2))
    cut, removed = (path for path in dice.sample([p for p in files if p not in chosen and p not in manifests], 2))
    kept = {path: path.read_bytes() for path in [*chosen, *manifests, cut, removed]}
    places = [*chosen, *manifests]
    for path in places:
        data = bytearray(kept[path])
        bit = dice.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(data)
    cut.write_bytes(kept[cut][:-1])
    said = subprocess.run([carrel, "admin", "backup", "verify"], capture_output=True, text=True)
    found = sum(path.name.split("-")[0] in said.stdout if path.suffix != ".jws" else path.stem in said.stdout for path in places)
    # Manifests whole again, so that what they miss is counted.
    for path in manifests:
        path.write_bytes(kept[path])
    for path in chosen:
        path.write_bytes(kept[path])
    removed.unlink()
    again = subprocess.run([carrel, "admin", "backup", "verify"], capture_output=True, text=True)
    cut_found, removed_found = cut.name.split("-")[0] in again.stdout, "missing" in again.stdout
    for path, data in kept.items():
        path.write_bytes(data)
    healed = subprocess.run([carrel, "admin", "backup", "verify"], capture_output=True, text=True)
    print(f"{found} of {len(places)} found; a file cut off: {'found' if cut_found else 'NOT found'}; a file removed: {'found' if removed_found else 'NOT found'}")
    return found == len(places) and said.returncode != 0 and cut_found and removed_found and again.returncode != 0 and healed.returncode == 0


def costs(data, stored, full, restore, verify, rto, price):
    data, stored, full, restore, verify, rto, price = map(float, (data, stored, full, restore, verify, rto, price))
    per = lambda seconds: seconds / (data / 1e9)
    print(
        f"backup {per(full):.0f} s, restore with checks {per(restore):.0f} s, verify {per(verify):.0f} s, {stored / data:.2f} GB stored = "
        f"{stored / data * price:.4f} $ a month; 10 GB at this pace: RTO {per(rto) * 10 / 60:.1f} min"
    )


def figures(to, method, rpo, rto, data, stored):
    pathlib.Path(to).write_text(json.dumps({"method": method, "rpo": float(rpo), "rto": float(rto), "bytes": int(data), "stored": int(stored)}))


def field(path, name):
    print(json.loads(pathlib.Path(path).read_text())[name])


def main():
    command, *arguments = sys.argv[1:]
    commands = {
        "generate": generate, "ask": ask, "compare": compare, "write": write, "state": state, "digests": digests, "rpo": rpo,
        "first-answer": first_answer, "flip": flip, "costs": costs, "figures": figures, "field": field,
    }
    sys.exit(1 if commands[command](*arguments) is False else 0)


main()
