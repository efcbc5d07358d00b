"""Whether a mesh that insists on mTLS lets through what the policies allow, and lets Jobs end."""

import network
from render import as_job
from shapes import name_of

INJECT = "sidecar.istio.io/inject"
NATIVE = "sidecar.istio.io/nativeSidecar"
# The mesh's own way in speaks mTLS; the other two are what it stands in place of (docs/KUBERNETES.md).
IN_THE_MESH = {"istio-system", "ingress-nginx", "envoy-gateway-system"}


def outside_of_it(documents):
    """Components whose pods have no proxy."""
    found = set()
    for document in map(as_job, documents):
        if document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            template = document["spec"]["template"]["metadata"]
            if str((template.get("annotations") or {}).get(INJECT)) == "false":
                found.add(template["labels"][network.COMPONENT])
        if document["kind"] == "Cluster" and document["apiVersion"].startswith("postgresql.cnpg.io/"):
            inherited = document["spec"]["inheritedMetadata"]
            if str(inherited["annotations"].get(INJECT)) == "false":
                found.add(inherited["labels"][network.COMPONENT])
    return found


def permissive(documents, labels):
    """Ports of pods with these labels that take plain connections; None for all of them."""
    ports, strict = set(), False
    for policy in documents:
        if policy["kind"] != "PeerAuthentication":
            continue
        if not network.matches(policy["spec"].get("selector") or {}, labels):
            continue
        strict |= policy["spec"]["mtls"]["mode"] == "STRICT"
        levels = policy["spec"].get("portLevelMtls") or {}
        ports.update(int(port) for port, level in levels.items() if level["mode"] == "PERMISSIVE")
    return ports if strict else None


def problems(documents):
    wrong = []
    for document in documents:
        job = as_job(document)
        annotations = job["kind"] == "Job" and job["spec"]["template"]["metadata"].get("annotations") or {}
        if job["kind"] == "Job" and str(annotations.get(INJECT)) != "false" and str(annotations.get(NATIVE)) != "true":
            wrong.append(f"{name_of(document)}: a mesh's proxy beside it would keep it from ever ending")
    if not any(document["kind"] == "PeerAuthentication" for document in documents):
        return wrong
    known, outside = network.pods(documents), outside_of_it(documents)
    for source, target, port in sorted(network.arrows(documents)[0]):
        if target not in known or target in outside or known[target]["labels"].get(network.COMPONENT) == "logging":
            continue
        if source in IN_THE_MESH or source in known and source not in outside:
            continue
        ports = permissive(documents, known[target]["labels"])
        if ports is not None and port not in ports:
            wrong.append(f"the mesh refuses {source} -> {target}:{port}, which comes without mTLS")
    return wrong
