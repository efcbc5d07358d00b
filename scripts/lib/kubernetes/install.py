#!/usr/bin/env python3
"""Runs scripts/k8s with a kubectl that only notes what it is asked, and looks at what it did. Needs openssl, no cluster."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from render import ROOT

KUBECTL = """#!/usr/bin/env bash
# Notes its arguments; answers what scripts/k8s asks for.
set -euo pipefail
printf '%s\\n' "$*" >>"$NOTES/calls"
case "$*" in
    kustomize*) cat "$NOTES/rendered" ;;
    *"get secret"* | "get namespace"*) exit 1 ;;
    *"create secret"*)
        for argument in "$@"; do
            case $argument in --from-file=*) cp "${argument#*=}" "$NOTES/${6}.${argument##*/}" ;; esac
        done ;;
    *--dry-run=client*) printf '{"kind": "Job", "spec": {"template": {"spec": {"containers": [{"args": ["admin", "doctor"]}]}}}}' ;;
    *"create -f -") cat >"$NOTES/job" ;;
    *"get statefulsets"*) echo statefulset.apps/carrel-store ;;
    *"get deployments"*) echo deployment.apps/carrel-api ;;
    *"get job"*) printf '%s' "$JOB_ENDS" ;;
    *"logs"*) echo "what it says" ;;
esac
"""
GROUND = """apiVersion: v1
kind: Namespace
metadata:
  name: carrel-trial
---
apiVersion: batch/v1
kind: Job
metadata:
  name: carrel-migrate
  namespace: carrel-trial
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: carrel-api
  namespace: carrel-trial
"""
CLUSTER = """---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  name: carrel-postgres
  namespace: carrel-trial
"""


class Trial:
    """A folder with that kubectl, what it noted, and room for temporary files that must be gone in the end."""

    def __init__(self, folder, rendered):
        self.folder, self.scratch = folder, folder / "tmp"
        self.scratch.mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "bin/kubectl").write_text(KUBECTL)
        (folder / "bin/kubectl").chmod(0o755)
        (folder / "rendered").write_text(rendered)

    def run(self, *arguments, job="Complete"):
        (self.folder / "calls").write_text("")
        environment = {
            **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "NOTES": str(self.folder), "TMPDIR": str(self.scratch),
            "JOB_ENDS": job,
        }
        return subprocess.run([ROOT / "scripts/k8s", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120)

    def calls(self):
        return (self.folder / "calls").read_text()


def problems(folder):
    overlay = str(folder)
    for name, rendered, ending in (("statefulset", GROUND, "/carrel"), ("operator", GROUND + CLUSTER, "/carrel?sslmode=require")):
        trial = Trial(folder / name, rendered)
        for command in ("secrets", "apply"):
            done = trial.run(command, overlay)
            if done.returncode:
                yield f"{command} with {name} ends with {done.returncode}: {done.stderr.strip()}"
            if any(trial.scratch.iterdir()):
                yield f"{command} with {name} leaves files behind"
            if "carrel-trial" not in trial.calls():
                yield f"{command} with {name} does not find the namespace"
            if command == "apply" and ("cluster.postgresql.cnpg.io" in trial.calls()) != (name == "operator"):
                yield f"apply with {name} waits for the wrong database"
        for secret in ("carrel-database", "carrel-database-owner"):
            url = trial.folder / f"{secret}.url"
            if not url.exists() or not url.read_text().endswith(ending):
                yield f"{secret} with {name} has an address that does not end with {ending}"
    yield from of_admin(trial)
    if not trial.run("secrets", "carrel-trial").returncode:
        yield "secrets takes something that is no overlay"
    yield from of_certificates(trial, folder / "authority")


def of_admin(trial):
    done = trial.run("admin", "carrel-trial", "jobs", "limit", "a key", "--max", "3")
    if done.returncode or "what it says" not in done.stdout:
        yield f"admin ends with {done.returncode}: {done.stderr.strip()}"
        return
    job = json.loads((trial.folder / "job").read_text())
    if job["spec"]["template"]["spec"]["containers"][0]["args"] != ["admin", "jobs", "limit", "a key", "--max", "3"]:
        yield "admin changes what it is told to run"
    if "cronjob/carrel-admin" not in trial.calls() or "delete job" not in trial.calls():
        yield "admin takes another template, or leaves its Job"
    trial.run("admin", "carrel-trial", "backup", "list")
    if "cronjob/carrel-backup" not in trial.calls():
        yield "admin backup takes another template"
    if trial.run("admin", "carrel-trial", "doctor", job="FailureTarget Failed").returncode != 1:
        yield "admin does not tell that its Job has failed"


def of_certificates(trial, target):
    for _ in range(2):
        done = trial.run("certificates", str(target))
        if done.returncode:
            yield f"certificates ends with {done.returncode}: {done.stderr.strip()}"
            return
    for name, purpose in (("server", "sslserver"), ("replication", "sslclient")):
        verify = ["openssl", "verify", "-CAfile", target / "ca.crt", "-purpose", purpose, target / name / "tls.crt"]
        if subprocess.run(verify, capture_output=True, check=False).returncode:
            yield f"the authority does not stand for {name}"
    told = subprocess.run(["openssl", "x509", "-in", target / "server/tls.crt", "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    for host in ("carrel-postgres-rw", "carrel-postgres.us-east.carrel.internal"):
        if f"DNS:{host}" not in told:
            yield f"the server's certificate does not name {host}"


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = list(problems(pathlib.Path(folder)))
    for wrong in found:
        print(f"scripts/k8s: {wrong}")
    print(f"scripts/k8s: tried without a cluster, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
