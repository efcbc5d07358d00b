#!/usr/bin/env python3
"""Checks that questions.jsonl still fits the documents: every quote stands in the documents named beside it.

    python3 examples/check_questions.py                    exit 1 and name the line when a quote is not found
    python3 examples/check_questions.py --answers FILE     compare with answers of the product as well

Each line of questions.jsonl has `question`, `documents` (paths below harbour-case, empty when nothing in the library
answers) and, when something does, `quote`: words of the first document that has them. Quotes are compared without
regard to line breaks and to Markdown's asterisks. FILE holds one run of `carrel --json ask` a line, in the order of
the questions. A question is met when a citation overlaps the quote in a document named for it, or, where nothing
answers, when the run makes no claim. Only the standard library is used.
"""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY = HERE / "harbour-case"
SOURCES = HERE / "sources"


def words(text: str) -> str:
    """`text` on one line, without the asterisks and cell borders that no two renderings place alike."""
    return " ".join(re.sub(r"[*|]", " ", text).split())


def document_words(path: str) -> str:
    """The words of a document: of its source when it is built from one, else of the file itself."""
    source = SOURCES / f"{path}.txt"
    text = (source if source.exists() else LIBRARY / path).read_text("utf-8")
    if path.endswith(".html"):
        text = unescape(re.sub(r"<[^>]*>", " ", text))
    return words(text)


def fault(entry: dict) -> str | None:
    """What is wrong with a line of questions.jsonl, if anything."""
    missing = [path for path in entry["documents"] if not (LIBRARY / path).is_file()]
    if missing:
        return f"no such document: {', '.join(missing)}"
    if not entry["documents"]:
        return "a quote without a document" if "quote" in entry else None
    quote = words(entry["quote"])
    if not any(quote in document_words(path) for path in entry["documents"]):
        return "the quote stands in none of its documents"
    return None


def overlap(left: str, right: str) -> bool:
    """True when they share a run of at least half of the words of `left`."""
    left_words, right_text = left.split(), f" {right} "
    run = max(1, (len(left_words) + 1) // 2)
    starts = range(len(left_words) - run + 1)
    return any(f" {' '.join(left_words[start : start + run])} " in right_text for start in starts)


def met(entry: dict, answer: dict) -> bool:
    """True when the run answers as the line expects."""
    citations = [citation for claim in answer.get("claims", []) for citation in claim["citations"]]
    if not entry["documents"]:
        return not citations
    names = {Path(path).name for path in entry["documents"]}
    return any(
        Path(citation["document_name"]).name in names and overlap(words(entry["quote"]), words(citation["quote"]))
        for citation in citations
    )


def main(arguments: list[str]) -> int:
    entries = [json.loads(line) for line in (HERE / "questions.jsonl").read_text("utf-8").splitlines()]
    failed = False
    for number, entry in enumerate(entries, 1):
        problem = fault(entry)
        if problem:
            failed = True
            print(f"questions.jsonl:{number}: {problem}", file=sys.stderr)
    if arguments[:1] == ["--answers"] and len(arguments) == 2:
        answers = [json.loads(line) for line in Path(arguments[1]).read_text("utf-8").splitlines()]
        results = [met(entry, answer) for entry, answer in zip(entries, answers, strict=True)]
        for entry, result in zip(entries, results, strict=True):
            print("met   " if result else "missed", entry["question"])
        print(f"{sum(results)} of {len(results)} met")
    elif arguments:
        print("usage: check_questions.py [--answers FILE]", file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
