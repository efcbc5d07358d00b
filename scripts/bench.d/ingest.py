"""The measuring half of scripts/bench.d/ingest; see there.

Every text is short enough to be one passage, so every side stores one vector for each document. Carrel gets files through
its command-line client and works as it always does: originals kept and digested, each file read in a sandboxed process,
passages, words and vectors indexed, every step a durable job. Open WebUI gets files over HTTP into a knowledge base (see
openwebui.py): the same work but for words and durable jobs. chromadb gets a list of strings in one `add` and keeps strings
and vectors: no files, no HTTP, nothing that would survive a crash in the middle. Every clock stops when a search has found
the last document.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import carrel
import openwebui

LEAST_RATIO = 3.0
# Open WebUI gets the first so many of the texts only, so that a round ends in minutes; its rate is per second all the same.
MOST_FOR_OPEN_WEBUI = 500
# Texts that warm up what loads lazily, before the clock runs.
WARM = 40


def texts(count):
    found = carrel.corpus_texts(["squad2-dev", "cranfield", "xquad-en"])
    if len(found) < count + WARM:
        print(f"texts: made up out of the project's documents ({len(found)} found below CARREL_EVAL_DATA)")
        found = carrel.made_up_texts(count + WARM)
    else:
        print("texts: paragraphs of squad2-dev and xquad-en, abstracts of cranfield")
    # A word that no other text has lets a search name the document.
    return [f"{text}\n{marker(number)}" for number, text in enumerate(found[: count + WARM])]


def marker(number):
    return f"zqbench{number:06d}"


def ours(program, documents, home):
    """Seconds to searchable, to uploaded, and of processor."""
    files, warm = home / "files", home / "warm"
    for folder, some in ((files, documents[:-WARM]), (warm, documents[-WARM:])):
        folder.mkdir()
        first = 0 if folder is files else len(documents) - WARM
        for number, text in enumerate(some, first):
            (folder / f"{number:06d}.txt").write_text(text, encoding="utf-8")
    with carrel.Carrel(home, program) as server:
        server.run("add", warm, "--collection", "warm", "--wait")
        busy = server.processor_seconds()
        began = time.perf_counter()
        added = server.run("add", files, "--collection", "bench")
        uploaded = time.perf_counter() - began
        count = server.settled(added["collection_id"])
        last = len(documents) - WARM - 1
        body = {"query": marker(last), "collections": [added["collection_id"]], "limit": 10}
        found = [hit["external_id"] for hit in server.post("/api/v1/search", body)["hits"]]
        elapsed = time.perf_counter() - began
        busy = server.processor_seconds() - busy
    if count != last + 1 or f"{last:06d}.txt" not in found:
        sys.exit(f"the last document was not found: {count} documents, {found}")
    return elapsed, uploaded, busy


PEER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import ingest
ingest.peer(*sys.argv[2:])
"""


def peer(kind, model, onnx, home, count, source):
    """Runs in a process of its own, so that no round profits from the one before; prints seconds and processor seconds."""
    import chromadb
    from chromadb.config import Settings

    documents = json.loads(pathlib.Path(source).read_text(encoding="utf-8"))
    if kind == "onnx":
        from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2

        ONNXMiniLM_L6_V2.DOWNLOAD_PATH = pathlib.Path(onnx)
        embed = ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])
    else:
        from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

        embed = SentenceTransformerEmbeddingFunction(model_name=model, device="cpu", normalize_embeddings=True)
    client = chromadb.PersistentClient(path=home, settings=Settings(anonymized_telemetry=False))
    space = {"hnsw": {"space": "cosine"}}
    warm = client.create_collection("warm", embedding_function=embed, configuration=space)
    warm.add(ids=[f"w{number}" for number in range(WARM)], documents=documents[-WARM:])
    bench = client.create_collection("bench", embedding_function=embed, configuration=space)
    documents = documents[:-WARM]
    began, busy = time.perf_counter(), time.process_time()
    bench.add(ids=[f"{number:06d}" for number in range(len(documents))], documents=documents)
    found = bench.query(query_texts=[documents[-1]], n_results=1)["ids"][0]
    elapsed, busy = time.perf_counter() - began, time.process_time() - busy
    if found != [f"{len(documents) - 1:06d}"] or bench.count() != int(count):
        sys.exit(f"chromadb did not find the last document: {found}")
    print(elapsed, busy)


def theirs(kind, arguments, source, home):
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "ANONYMIZED_TELEMETRY": "False",
    }
    here = str(pathlib.Path(__file__).parent)
    command = [sys.executable, "-c", PEER, here, kind, arguments.model, str(onnx_folder()), str(home)]
    command += [str(arguments.documents), str(source)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"chromadb ({kind}) failed:\n{done.stderr[-3000:]}")
    elapsed, busy = done.stdout.split()[-2:]
    return float(elapsed), float(busy)


def onnx_folder():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "carrel/bench-onnx"


def export(model):
    """chromadb's default embedder wants an ONNX graph, which it would download. It is made here of the same weights."""
    target = onnx_folder() / "onnx"
    if (target / "model.onnx").exists():
        return
    import torch
    import transformers

    draft = onnx_folder() / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in ["config.json", "special_tokens_map.json", "tokenizer_config.json", "tokenizer.json", "vocab.txt"]:
        shutil.copy(pathlib.Path(model) / name, draft / name)
    bert = transformers.AutoModel.from_pretrained(model, attn_implementation="eager", add_pooling_layer=False).eval()
    one = torch.ones((2, 16), dtype=torch.int64)
    axes = {0: "batch", 1: "sequence"}
    names = ["input_ids", "attention_mask", "token_type_ids"]

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, input_ids, attention_mask, token_type_ids):
            answer = self.bert(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return answer.last_hidden_state

    dynamic = {name: axes for name in names} | {"last_hidden_state": axes}
    torch.onnx.export(
        Plain(), (one, one, one * 0), str(draft / "model.onnx"), input_names=names,
        output_names=["last_hidden_state"], dynamic_axes=dynamic, opset_version=17, dynamo=False,
    )
    draft.rename(target)
    check(model)


def check(model):
    """The exported graph must give the vectors that sentence-transformers gives, or the comparison is worth nothing."""
    import numpy
    import sentence_transformers
    from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2

    ONNXMiniLM_L6_V2.DOWNLOAD_PATH = onnx_folder()
    some = ["A short one.", "The gate closed at nine; nobody had asked for it. " * 8]
    exported = numpy.array(ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])(some))
    reference = sentence_transformers.SentenceTransformer(model, device="cpu").encode(some, normalize_embeddings=True)
    worst = float((exported * reference).sum(axis=1).min())
    if worst < 0.9999:
        shutil.rmtree(onnx_folder())
        sys.exit(f"the exported graph is not the model: cosine {worst}")


def measure(kind, arguments, documents, home):
    """One round of one system: documents, seconds to searchable, seconds of processor, and what else is worth a word."""
    if kind == "carrel":
        seconds, uploaded, busy = ours(arguments.program, documents, home)
        return arguments.documents, seconds, busy, f"uploads took {uploaded:.0f} of {seconds:.0f} s, "
    if kind == "open-webui":
        count = min(arguments.documents, MOST_FOR_OPEN_WEBUI)
        some = documents[:count] + documents[-WARM:]
        seconds, uploaded, busy = openwebui.ingest(arguments.open_webui, arguments.model, some, WARM, home)
        return count, seconds, busy, f"{count} documents, uploads took {uploaded:.0f} of {seconds:.0f} s, "
    source = home / "texts.json"
    source.write_text(json.dumps(documents), encoding="utf-8")
    seconds, busy = theirs(kind, arguments, source, home / "chroma")
    return arguments.documents, seconds, busy, ""


def main():
    parser = argparse.ArgumentParser()
    for name in ["program", "model"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--open-webui", help="its program; skipped without")
    for name in ["documents", "rounds"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    carrel.stop_on_signals()
    documents = texts(arguments.documents)
    characters = statistics.mean(map(len, documents))
    print(f"{arguments.documents} documents of {characters:.0f} characters on average, one passage each")
    export(arguments.model)

    peers = {"onnx": "chromadb, its default embedder (ONNX, float32)", "torch": "chromadb, sentence-transformers (float32)"}
    if arguments.open_webui:
        peers |= {"open-webui": "Open WebUI (chromadb, sentence-transformers, float32)"}
    else:
        carrel.result("against Open WebUI", f">= {LEAST_RATIO} x", "the package open-webui cannot be installed here", "skipped")
    rates = {name: [] for name in ["carrel", *peers]}
    for number in range(1, arguments.rounds + 1):
        shown = []
        for kind, series in rates.items():
            with carrel.folder("ingest") as home:
                count, seconds, busy, note = measure(kind, arguments, documents, home)
            series.append(count / seconds)
            shown.append(f"{kind} {series[-1]:.1f} ({note}processor {busy:.0f} s)")
        print(f"round {number}, documents/s: {', '.join(shown)}; {carrel.load()}", flush=True)
    own = statistics.median(rates["carrel"])
    carrel.result("carrel, documents to searchable", "", f"{own:.1f} documents/s", "info")
    for kind, name in peers.items():
        ratio = own / statistics.median(rates[kind])
        measured = f"{ratio:.2f} x ({statistics.median(rates[kind]):.1f} documents/s)"
        carrel.result(f"against {name}", f">= {LEAST_RATIO} x", measured, ratio >= LEAST_RATIO)


if __name__ == "__main__":
    main()
