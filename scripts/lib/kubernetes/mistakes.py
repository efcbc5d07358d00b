#!/usr/bin/env python3
"""Makes mistakes in a rendering of production, and in one of everything together, one at a time, and fails when the checks do not
find one of them."""

import copy
import sys

import agreement
import mesh
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


def unbuilt_image(d):
    pick(d, "Job", "carrel-migrate")["spec"]["template"]["spec"]["containers"][0]["image"] = "ghcr.io/carrel/carrel-cli:0.1.0"


def password_without_tls(d):
    pick(d, "Cluster", "carrel-postgres")["spec"]["postgresql"]["pg_hba"].pop()


def unlisted_secret(d):
    pick(d, "Cluster", "carrel-postgres")["spec"]["certificates"] = {"serverCASecret": "carrel-authority"}


def shrinking_pool(d):
    pick(d, "ScaledObject", "carrel-worker-ingest")["spec"]["fallback"].pop("behavior")


def endless_job(d):
    pick(d, "Job", "carrel-client")["spec"]["template"]["metadata"].pop("annotations")


def refused_archive(d):
    pick(d, "PeerAuthentication", "carrel-store")["spec"].pop("portLevelMtls")


def refused_analysis(d):
    pick(d, "NetworkPolicy", "rollouts-to-api")["spec"]["ingress"][0]["ports"][0]["port"] = 8080


def unserved_analysis(d):
    web = pick(d, "AnalysisTemplate", "carrel-api-before")["spec"]["metrics"][0]["provider"]["web"]
    web["url"] = web["url"].replace(":9464", ":8080")


def closed_analysis(d):
    web = pick(d, "AnalysisTemplate", "carrel-api-before")["spec"]["metrics"][0]["provider"]["web"]
    web["url"] = web["url"].replace(":9464", "")


def early_scale_down(d):
    pick(d, "Deployment", "carrel-api")["spec"]["replicas"] = 0


def another_version(d):
    container_of = pick(d, "StatefulSet", "carrel-store")["spec"]["template"]["spec"]["containers"][0]
    container_of["image"] = "docker.io/chrislusf/seaweedfs:3.97"


MISTAKES = [
    unknown_setting, wrong_value, unmounted_file, unread_backups, lonely_backup, other_port, unserved_probe, unknown_queue, early_kill, writable_root,
    lost_target, two_owners, small_quota, unknown_metric, extra_arrow, half_arrow, open_pod, unknown_field,
    unknown_field_of_others, unbuilt_image, password_without_tls, unlisted_secret, shrinking_pool, endless_job,
]
# Of what production does not have.
OF_EVERYTHING = [refused_archive, refused_analysis, unserved_analysis, closed_analysis, early_scale_down, another_version]


def findings(documents, components):
    checked = shapes.Shapes()
    found = [wrong for document in documents for wrong in checked.problems(document)]
    found += wiring.Rendering(documents).check() + network.problems(documents, components)
    return found + mesh.problems(documents) + agreement.problems(documents)


def main():
    command, reason = render.renderer()
    if command is None:
        print(f"skipped: {reason}")
        return 77
    folder = render.K8S / "overlays" / "production"
    everything = next(names for names in render.combinations(False) if {"cloudnative-pg", "seaweedfs"} <= set(names))
    missed = []
    for mistakes, documents, components in (
        (MISTAKES, render.run(command, folder), render.components_of(folder)),
        (OF_EVERYTHING, render.combine(command, everything), everything),
    ):
        documents += render.by_hand(documents)
        if found := findings(documents, components):
            print("without a mistake there are findings:", *found, sep="\n")
            return 1
        for mistake in mistakes:
            wrong = copy.deepcopy(documents)
            mistake(wrong)
            if not findings(wrong, components):
                missed.append(mistake.__name__)
    total = len(MISTAKES) + len(OF_EVERYTHING)
    print(f"{total - len(missed)} of {total} mistakes found", *missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
