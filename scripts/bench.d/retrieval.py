"""The measuring half of scripts/bench.d/retrieval; see there."""

import argparse
import os
import pathlib

import carrel

# nDCG@10 that a mode must reach on a set. The first three are what BM25 in Lucene's variant (k1 1.2, b 0.75, English stems and
# stop words) and its equal min-max sum with exact all-MiniLM-L6-v2 reach with one vector for each document.
LEAST_NDCG = {
    "squad2-dev": {"lexical": 0.8861, "hybrid": 0.9094},
    "xquad-en": {"lexical": 0.9632, "hybrid": 0.9745},
    "cranfield": {"lexical": 0.3851, "hybrid": 0.4385},
    "xquad-de": {"hybrid": 0.90},
    "xquad-zh": {"hybrid": 0.90},
    "xquad-ar": {"hybrid": 0.90},
}
QUOTES = "chroma-quotes"
LEAST_QUOTES = {"passages": {"recall": 0.858}, "quotes": {"recall": 0.60, "iou": 0.20}}
COLUMNS = [
    ("nDCG@10", "ndcg_at_10", 4), ("recall@10", "recall_at_10", 4), ("recall@100", "recall_at_100", 4),
    ("MRR@10", "mrr_at_10", 4), ("p50 ms", "query_ms_p50", 1), ("p95 ms", "query_ms_p95", 1),
]


def judge(figure, measured, least, told):
    if least is not None and told:
        carrel.result(figure, f">= {least}", f"{measured:.4f}", round(measured, 4) >= least)
    else:
        carrel.result(figure, "", f"{measured:.4f}", "info")


def retrieval(server, folder, limit):
    extra = ["--queries", limit] if limit else []
    answer = server.run("eval", "retrieval", "--dir", folder, *extra)
    systems = {row["system"]: row for row in answer["systems"]}
    queries = next(iter(systems.values()))["queries"]
    rate = answer["documents_per_second"]
    print(f"{folder.name}: {queries} queries, {answer['documents_added']} documents added at {rate:.1f}/s, {carrel.load()}")
    print(f"  {'system':<9}" + "".join(f"{head:>11}" for head, _, _ in COLUMNS))
    for name, row in systems.items():
        print(f"  {name:<9}" + "".join(f"{row[key]:>11.{digits}f}" for _, key, digits in COLUMNS))
    ndcg = {name: row["ndcg_at_10"] for name, row in systems.items()}
    for mode, least in LEAST_NDCG.get(folder.name, {}).items():
        judge(f"{folder.name}, nDCG@10 {mode}", ndcg[mode], least, not limit)
    better = max(ndcg["lexical"], ndcg["semantic"])
    verdict = "info" if limit else ndcg["hybrid"] >= better
    carrel.result(f"{folder.name}, hybrid against its better half", ">= +0", f"{ndcg['hybrid'] - better:+.4f}", verdict)


def quotes(server, folder, limit):
    extra = ["--questions", limit] if limit else []
    answer = server.run("eval", "quotes", "--dir", folder, *extra)
    systems = {row["system"]: row for row in answer["systems"]}
    print(f"{folder.name}: {systems['passages']['questions']} questions, {answer['abstained']} not answered, {carrel.load()}")
    print(f"  {'system':<9}{'recall':>11}{'precision':>11}{'IoU':>11}")
    for name, row in systems.items():
        print(f"  {name:<9}{row['recall']:>11.4f}{row['precision']:>11.4f}{row['iou']:>11.4f}")
    for name, bars in LEAST_QUOTES.items():
        for measure, least in bars.items():
            judge(f"{folder.name}, {measure} of {name}", systems[name][measure], least, not limit)
    verified, all_of_them = answer["exact"], answer["citations"]
    carrel.result("citations that verify", "all", f"{verified} of {all_of_them}", verified == all_of_them)


def main():
    parser = argparse.ArgumentParser()
    for name in ["program", "data"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("sets", nargs="*")
    arguments = parser.parse_args()
    carrel.stop_on_signals()
    limit = os.environ.get("CARREL_EVAL_QUERIES")
    with carrel.folder("retrieval") as home, carrel.Carrel(home, arguments.program) as server:
        for name in arguments.sets or [*LEAST_NDCG, QUOTES]:
            folder = pathlib.Path(arguments.data) / name
            if not folder.is_dir():
                carrel.result(f"{name}", "", f"{folder} is not there", "skipped")
            elif name == QUOTES:
                quotes(server, folder, limit)
            else:
                retrieval(server, folder, limit)


if __name__ == "__main__":
    main()
