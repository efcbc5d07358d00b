"""Whether a rendering agrees with what lies outside of it: the images that a release builds and compose runs, the secrets that the
document lists, the objects that runbooks name, and what operators of others (CloudNativePG, KEDA, Argo Rollouts) make of it."""

import re

import yaml

import network
import wiring
from render import LOADER, ROOT, as_job
from shapes import name_of

OURS = "ghcr.io/carrel/"
# Data stores inside of the namespace make do with `scripts/k8s secrets`, where everything else comes from Vault.
NOT_IN_VAULT = {"carrel-postgres-superuser", "carrel-seaweedfs", "fluent-bit-elasticsearch"}


def built():
    """Names of the images that a release publishes."""
    workflow = yaml.load((ROOT / ".github/workflows/release.yml").read_text(), Loader=LOADER)
    return {entry["image"] for entry in workflow["jobs"]["images"]["strategy"]["matrix"]["include"]}


def composed():
    """Images of others that compose runs: name without registry, tag."""
    found = {}
    for path in sorted(ROOT.glob("docker-compose*.yml")):
        for service in yaml.load(path.read_text(), Loader=LOADER)["services"].values():
            name, _, tag = service.get("image", "").partition(":")
            if name and "$" not in name:
                found[name] = tag
    return found


def containers(documents):
    for document in map(as_job, documents):
        if document["kind"] in wiring.WORKLOADS:
            for container in wiring.containers(document["spec"]["template"]["spec"]):
                yield document, container


def same_version(tag, other):
    """A tag of compose may say less: `7` is `7.4.1`, `pg17` is `0.8.0-pg17`."""
    return tag == other or tag.startswith(other + ".") or tag.startswith(other + "-") or tag.endswith("-" + other)


def of_images(documents):
    released, others = built(), composed()
    for document, container in containers(documents):
        name, _, tag = container["image"].partition("@")[0].partition(":")
        if name.startswith(OURS):
            if name.removeprefix(OURS) not in released:
                yield f"{name_of(document)}: asks for {name}, which no release builds (.github/workflows/release.yml)"
            continue
        name = name.removeprefix("docker.io/").removeprefix("library/")
        if name in others and not same_version(tag, others[name]):
            yield f"{name_of(document)}: runs {name}:{tag}, compose {others[name]}"


def secrets(tree, key=""):
    """Names of the secrets that a document asks for, wherever it does."""
    if isinstance(tree, list):
        for inner in tree:
            yield from secrets(inner, key)
    elif isinstance(tree, dict):
        if "secretName" in tree and key == "secret":
            yield tree["secretName"]
        elif key in ("secret", "secretRef", "secretKeyRef", "accessKeyId", "secretAccessKey", "sslKey", "sslCert", "sslRootCert") and "name" in tree:
            yield tree["name"]
        elif key == "certificates":
            yield from (name for field, name in tree.items() if field.endswith("Secret"))
        for inner_key, inner in tree.items():
            yield from secrets(inner, inner_key)


def of_secrets(documents):
    text = (ROOT / "docs/KUBERNETES.md").read_text()
    listed = set(re.findall(r"^\| `([\w-]+)`", text.split("\n## Secrets\n", 1)[1].split("\n## ", 1)[0], re.M))
    fetched = {document["spec"]["target"]["name"] for document in documents if document["kind"] == "ExternalSecret"}
    for document in documents:
        if document["kind"] not in ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Cluster", "ObjectStore"):
            continue
        for name in sorted(set(secrets(document["spec"]))):
            if name not in listed:
                yield f"{name_of(document)}: asks for the secret {name}, which docs/KUBERNETES.md does not list"
            if fetched and name not in fetched | NOT_IN_VAULT:
                yield f"{name_of(document)}: asks for the secret {name}, which is not fetched from Vault"


def of_database(documents):
    """The last rule of CloudNativePG's own list lets everybody in: one of ours must end before it."""
    for document in documents:
        if document["kind"] == "Cluster" and document["apiVersion"].startswith("postgresql.cnpg.io/"):
            rules = document["spec"]["postgresql"]["pg_hba"]
            if rules[-1].split() != ["host", "all", "all", "all", "reject"]:
                yield f"{name_of(document)}: its rules do not end with a refusal"
            if any(not rule.startswith("hostssl ") for rule in rules[:-1]):
                yield f"{name_of(document)}: lets somebody in without TLS"


def of_scalers(documents):
    for document in documents:
        if document["kind"] == "ScaledObject":
            fallback = document["spec"].get("fallback") or {}
            if fallback and fallback.get("behavior") != "currentReplicasIfHigher":
                yield f"{name_of(document)}: shrinks to {fallback['replicas']} when its metrics are away"
        if document["kind"] == "Rollout" and "workloadRef" in document["spec"]:
            target = document["spec"]["workloadRef"]
            if target.get("scaleDown") != "progressively" or document["spec"].get("minReadySeconds", 0) < 30:
                yield f"{name_of(document)}: takes the Deployment's pods away before its own serve"
            for other in documents:
                if other["kind"] == "Deployment" and other["metadata"]["name"] == target["name"] and "replicas" in other["spec"]:
                    yield f"{name_of(other)}: has a number of replicas, which Argo Rollouts owns"


def of_analyses(documents):
    """What Argo Rollouts asks for is served, behind a door that is open to it."""
    allowed = {port for source, _, port in network.arrows(documents)[0] if source == "argo-rollouts"}
    ports = {port["name"]: port["containerPort"] for document, container in containers(documents)
             if document["metadata"]["name"] == "carrel-api" for port in container.get("ports", [])}
    services = {document["metadata"]["name"]: document for document in documents if document["kind"] == "Service"}
    for document in documents:
        if document["kind"] != "AnalysisTemplate":
            continue
        for metric in document["spec"]["metrics"]:
            found = re.fullmatch(r"http://([\w-]+)(?::(\d+))?(/.*)", metric["provider"].get("web", {}).get("url", ""))
            if not found:
                continue
            service, port = services.get(found.group(1), {"spec": {"ports": []}}), int(found.group(2) or 80)
            target = next((entry["targetPort"] for entry in service["spec"]["ports"] if entry["port"] == port), None)
            if target is None or found.group(3) not in wiring.routes()[target]:
                yield f"{name_of(document)}: asks for {found.group(0)}, which nobody serves"
            elif ports[target] not in allowed:
                yield f"{name_of(document)}: asks the port {ports[target]}, which no policy opens to it"


def of_runbooks(every):
    """Objects that the documents name with their kind exist in some rendering; `every` are (kind, name) of all."""
    kinds = {"deploy": {"Deployment"}, "deployment": {"Deployment"}, "job": {"Job"}, "cronjob": {"CronJob"}, "svc": {"Service"}}
    for path in sorted((ROOT / "docs").glob("*.md")):
        for kind, name in re.findall(r"\b(deploy|deployment|job|cronjob|svc)/(carrel-[a-z-]+)", path.read_text()):
            if not any((one, name) in every for one in kinds[kind]):
                yield f"docs/{path.name}: names {kind}/{name}, which no rendering has"


def problems(documents):
    return [*of_images(documents), *of_secrets(documents), *of_database(documents), *of_scalers(documents), *of_analyses(documents)]
