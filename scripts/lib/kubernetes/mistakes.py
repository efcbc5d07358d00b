#!/usr/bin/env python3
"""Makes mistakes in a rendering of production, one at a time, and fails when the checks do not find one of them."""

import copy
import sys

import network
import render
import shapes
import wiring

def pick(documents, kind, name):
    found = (d for d in documents if d["kind"] == kind and d["metadata"]["name"].startswith(name))
    return next(found)


def container(documents, name):
    return pick(documents, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]


def unknown_setting(d):
    pick(d, "ConfigMap", "carrel-config")["data"]["CARREL__SERVER__LISTENS"] = "x"


def wrong_value(d):
    pick(d, "ConfigMap", "carrel-config")["data"]["CARREL__JOBS__DRAIN_SECONDS"] = "soon"


def unmounted_file(d):
    pick(d, "ConfigMap", "carrel-config")["data"]["CARREL__DATABASE__URL_FILE"] = "/run/secrets/carrel/database"


def unread_backups(d):
    volumes = pick(d, "CronJob", "carrel-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    volumes[0]["projected"]["sources"].pop()


def lonely_backup(d):
    d.remove(pick(d, "NetworkPolicy", "to-backups"))
    values = pick(d, "NetworkPolicy", "to-s3")["spec"]["podSelector"]["matchExpressions"][0]["values"]
    values.remove("backup")


def other_port(d):
    pick(d, "ConfigMap", "carrel-config")["data"]["CARREL__SERVER__LISTEN"] = "0.0.0.0:8088"


def unserved_probe(d):
    container(d, "carrel-api")["readinessProbe"]["httpGet"]["path"] = "/healthz"


def unknown_queue(d):
    container(d, "carrel-worker-notify")["args"][1] = "mail=2"


def early_kill(d):
    pick(d, "Deployment", "carrel-api")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 30


def writable_root(d):
    container(d, "carrel-ai")["securityContext"]["readOnlyRootFilesystem"] = False


def lost_target(d):
    pick(d, "HorizontalPodAutoscaler", "carrel-api")["spec"]["scaleTargetRef"]["name"] = "carrel"


def two_owners(d):
    pick(d, "Deployment", "carrel-api")["spec"]["replicas"] = 3


def small_quota(d):
    pick(d, "ResourceQuota", "carrel")["spec"]["hard"]["requests.cpu"] = "10"


def unknown_metric(d):
    trigger = pick(d, "ScaledObject", "carrel-ai")["spec"]["triggers"][2]["metadata"]
    trigger["query"] = trigger["query"].replace("carrel_jobs_oldest_seconds", "carrel_jobs_age")


def extra_arrow(d):
    values = pick(d, "NetworkPolicy", "redis")["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    values.append("api")
    values = pick(d, "NetworkPolicy", "to-redis")["spec"]["podSelector"]["matchExpressions"][0]["values"]
    values.append("api")


def half_arrow(d):
    pick(d, "NetworkPolicy", "postgres")["spec"]["ingress"].pop(0)


def open_pod(d):
    d.remove(pick(d, "NetworkPolicy", "default-deny"))


def unknown_field(d):
    container(d, "carrel-api")["readinessProbe"]["retries"] = 3


def unknown_field_of_others(d):
    pick(d, "Cluster", "carrel-postgres")["spec"]["instance"] = 3


MISTAKES = [
    unknown_setting, wrong_value, unmounted_file, unread_backups, lonely_backup, other_port, unserved_probe, unknown_queue, early_kill, writable_root,
    lost_target, two_owners, small_quota, unknown_metric, extra_arrow, half_arrow, open_pod, unknown_field,
    unknown_field_of_others,
]


def findings(documents, components):
    checked = shapes.Shapes()
    found = [wrong for document in documents for wrong in checked.problems(document)]
    return found + wiring.Rendering(documents).check() + network.problems(documents, components)


def main():
    command, reason = render.renderer()
    if command is None:
        print(f"skipped: {reason}")
        return 77
    folder = render.K8S / "overlays" / "production"
    documents, components = render.run(command, folder), render.components_of(folder)
    if found := findings(documents, components):
        print("without a mistake there are findings:", *found, sep="\n")
        return 1
    missed = []
    for mistake in MISTAKES:
        wrong = copy.deepcopy(documents)
        mistake(wrong)
        if not findings(wrong, components):
            missed.append(mistake.__name__)
    print(f"{len(MISTAKES) - len(missed)} of {len(MISTAKES)} mistakes found", *missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
