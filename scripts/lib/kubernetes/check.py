#!/usr/bin/env python3
"""Checks k8s/: renders it, and compares it with Kubernetes' schemas, the code, the settings and the documented arrows.

  check.py            every overlay, and every component at once (some seconds)
  check.py --every    also each component alone and each pair of components
  check.py --learn F  after a change of custom resources: checks against the full schemas in the folder F
                      (<group>/<kind>_<version>.json, as kubeconform's catalogues have them), then writes k8s/schemas
  check.py --write F  also leaves every rendering in the folder F, for other tools

CARREL_K8S_SCHEMAS names a folder of full schemas to use where they are, instead of k8s/schemas."""

import argparse
import json
import os
import pathlib
import sys

import yaml

import agreement
import mesh
import network
import render
import shapes
import wiring


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--every", action="store_true")
    arguments.add_argument("--learn", metavar="F")
    arguments.add_argument("--write", metavar="F", type=pathlib.Path)
    chosen = arguments.parse_args()
    command, reason = render.renderer()
    if command is None:
        print(f"kubernetes: skipped: {reason}")
        return 0
    checked = shapes.Shapes(chosen.learn or os.environ.get("CARREL_K8S_SCHEMAS"))
    problems, count, seen, objects = 0, 0, {}, set()
    renderings = [(name, None) for name in [*render.OVERLAYS, "cluster"]]
    renderings += [(None, names) for names in render.combinations(chosen.every)]
    for overlay, names in renderings:
        if overlay == "cluster":
            title, documents, names = "cluster", render.run(command, render.K8S / "cluster"), []
        elif overlay:
            folder = render.K8S / "overlays" / overlay
            title, documents, names = overlay, render.run(command, folder), render.components_of(folder)
        else:
            title, documents = "base + " + (", ".join(names) or "nothing"), render.combine(command, names)
        if overlay != "cluster":
            documents += render.by_hand(documents)
        found = []
        for document in documents:
            # The same document comes again in most renderings, in another namespace.
            metadata = {key: value for key, value in document["metadata"].items() if key != "namespace"}
            text = json.dumps({**document, "metadata": metadata}, sort_keys=True)
            if text not in seen:
                seen[text] = [f"{shapes.name_of(document)}: {wrong}" for wrong in checked.problems(document)]
            found += seen[text]
        if overlay != "cluster":
            regional = ["regions"] if overlay and overlay.startswith("regions/") else []
            found += wiring.Rendering(documents).check()
            found += network.problems(documents, [*names, *regional])
            found += mesh.problems(documents) + agreement.problems(documents)
            objects.update((document["kind"], document["metadata"]["name"]) for document in documents)
        count += 1
        problems += len(found)
        for wrong in found:
            print(f"kubernetes: {title}: {wrong}")
        if chosen.write:
            chosen.write.mkdir(parents=True, exist_ok=True)
            name = title.replace("base + ", "").replace(", ", "+").replace("/", "-")
            (chosen.write / f"{name[:100]}-{count}.yaml").write_text(yaml.safe_dump_all(documents))
    for wrong in agreement.of_runbooks(objects):
        problems += 1
        print(f"kubernetes: {wrong}")
    if chosen.learn and not problems:
        learnt = shapes.learn([json.loads(text) for text in seen])
        print(f"kubernetes: learnt {len(learnt)} kinds")
    print(f"kubernetes: {count} renderings, {len(seen)} different documents, {problems} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
