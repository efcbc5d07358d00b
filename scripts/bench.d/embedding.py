"""The measuring half of scripts/bench.d/embedding; see there."""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import carrel

SETS = ["squad2-dev", "xquad-en", "cranfield"]
PRECISIONS = ["float32", "int8"]
SPEED_TEXTS = 240
CUTOFF = 10

# What a run must reach.
LEAST_RATIO = {"int8": 2.0, "float32": 1.0}
LEAST_COSINE = {"int8": 0.9, "float32": 0.999}
MOST_NDCG_LOSS = 0.005


def passage(document):
    return f"{document.get('title', '')} {document['text']}".strip()


def ndcg(numpy, documents, queries, document_ids, query_ids, relevant):
    """Mean nDCG@10 by exact search over unit vectors; the gain of a document is its judged score."""
    scores = queries @ documents.T
    best = numpy.argsort(-scores, axis=1, kind="stable")[:, :CUTOFF]
    total, judged = 0.0, 0
    for row, query in enumerate(query_ids):
        gains = {document: gain for document, gain in relevant.get(query, {}).items() if gain > 0}
        if not gains:
            continue
        judged += 1
        ideal = sorted(gains.values(), reverse=True)[:CUTOFF]
        found = [gains.get(document_ids[column], 0) for column in best[row]]
        discounted = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(found))
        total += discounted / sum(gain / math.log2(rank + 2) for rank, gain in enumerate(ideal))
    return total / judged


def judgements(path):
    relevant = {}
    with open(path, encoding="utf-8") as file:
        next(file)
        for line in file:
            query, document, score = line.rstrip("\n").split("\t")
            relevant.setdefault(query, {})[document] = int(score)
    return relevant


class Ours:
    """The example binary, kept running so that models are loaded once."""

    def __init__(self, numpy, arguments, directory):
        self.numpy, self.directory = numpy, pathlib.Path(directory)
        command = [arguments.binary, arguments.model, str(arguments.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def embed(self, precision, texts):
        source, target = self.directory / "texts.json", self.directory / "vectors.f32"
        source.write_text(json.dumps(texts), encoding="utf-8")
        self.process.stdin.write(f"{precision} {source} {target}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        while answer and answer[0] == "loaded":
            print(f"{precision}: loaded in {answer[1]} s, resident {int(answer[2]) / 1024:.0f} MiB")
            answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit("embed_bench stopped; see above")
        vectors = self.numpy.fromfile(target, dtype="<f4").reshape(len(texts), -1)
        return float(answer[0]), int(answer[1]), vectors

    def cpu_seconds(self):
        """Processor time spent so far (proc(5), fields utime and stime)."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(numpy, arguments, texts):
    """Memory of a process that runs int8 alone."""
    with tempfile.TemporaryDirectory() as directory:
        ours = Ours(numpy, arguments, directory)
        _, kib, _ = ours.embed("int8", texts)
        ours.process.stdin.close()
        ours.process.wait()
    return kib / 1024


def main():
    parser = argparse.ArgumentParser()
    for name in ["binary", "model", "data"]:
        parser.add_argument(f"--{name}", required=True)
    for name in ["threads", "rounds"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()

    os.environ |= {"OMP_NUM_THREADS": str(arguments.threads), "MKL_NUM_THREADS": str(arguments.threads)}
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    import numpy
    import sentence_transformers
    import torch

    torch.set_num_threads(arguments.threads)
    peer = sentence_transformers.SentenceTransformer(arguments.model, device="cpu")
    print(f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}, {arguments.threads} threads")

    data = pathlib.Path(arguments.data)
    corpora = {name: carrel.lines(data / name / "corpus.jsonl") for name in SETS}
    texts = []
    for name in SETS:
        share = corpora[name]
        step = max(1, len(share) // (SPEED_TEXTS // len(SETS)))
        texts += [passage(document) for document in share[::step]][: SPEED_TEXTS // len(SETS)]
    tokens = sum(len(ids) for ids in peer.tokenizer(texts, truncation=True, max_length=256)["input_ids"])
    print(f"speed: {len(texts)} passages, {tokens} tokens")

    with tempfile.TemporaryDirectory() as directory:
        ours = Ours(numpy, arguments, directory)
        reference = peer.encode(texts, batch_size=32, normalize_embeddings=True)
        vectors = {precision: ours.embed(precision, texts)[2] for precision in PRECISIONS}
        for precision in PRECISIONS:
            cosines = (vectors[precision] * reference).sum(axis=1)
            carrel.result(
                f"{precision}, least cosine to sentence-transformers",
                f">= {LEAST_COSINE[precision]}",
                f"{cosines.min():.6f} (mean {cosines.mean():.6f})",
                cosines.min() >= LEAST_COSINE[precision],
            )

        # Processor time is told beside: it holds on a machine that is busy with other things, where the wall clock
        # punishes whoever waits for both of its threads.
        ratios = {precision: [] for precision in PRECISIONS}
        cpu_ratios = {precision: [] for precision in PRECISIONS}
        for index in range(arguments.rounds):
            started, cpu_started = time.perf_counter(), time.process_time()
            peer.encode(texts, batch_size=32, normalize_embeddings=True)
            peer_seconds, peer_cpu = time.perf_counter() - started, time.process_time() - cpu_started
            shown = [f"sentence-transformers {len(texts) / peer_seconds:7.1f}"]
            for precision in PRECISIONS:
                cpu_started = ours.cpu_seconds()
                seconds, _, _ = ours.embed(precision, texts)
                ratios[precision].append(peer_seconds / seconds)
                cpu_ratios[precision].append(peer_cpu / (ours.cpu_seconds() - cpu_started))
                shown.append(f"{precision} {len(texts) / seconds:7.1f}")
            print(f"round {index + 1}, passages/s: " + ", ".join(shown), flush=True)
        for precision in PRECISIONS:
            ratio = statistics.median(ratios[precision])
            span = f"{min(ratios[precision]):.2f}-{max(ratios[precision]):.2f}"
            cpu = statistics.median(cpu_ratios[precision])
            carrel.result(
                f"{precision}, speed of sentence-transformers",
                f">= {LEAST_RATIO[precision]} x",
                f"{ratio:.2f} x (rounds {span}; by processor time {cpu:.2f})",
                ratio >= LEAST_RATIO[precision],
            )

        for name in SETS:
            queries = carrel.lines(data / name / "queries.jsonl")
            relevant = judgements(data / name / "qrels.tsv")
            documents = corpora[name]
            results = {}
            for precision in PRECISIONS:
                document_vectors = ours.embed(precision, [passage(document) for document in documents])[2]
                query_vectors = ours.embed(precision, [query["text"] for query in queries])[2]
                document_ids = [str(document["_id"]) for document in documents]
                query_ids = [str(query["_id"]) for query in queries]
                results[precision] = ndcg(numpy, document_vectors, query_vectors, document_ids, query_ids, relevant)
            change = results["int8"] - results["float32"]
            carrel.result(
                f"{name}, change of nDCG@{CUTOFF} from float32 to int8",
                f"within {MOST_NDCG_LOSS}",
                f"{change:+.4f} ({results['float32']:.4f} to {results['int8']:.4f})",
                change >= -MOST_NDCG_LOSS,
            )

    carrel.result("int8 alone, memory after the speed texts", "", f"{resident(numpy, arguments, texts):.0f} MiB", "info")


main()
