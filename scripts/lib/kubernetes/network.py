"""Who may speak to whom: what the NetworkPolicies of a rendering say, and what the table in docs/KUBERNETES.md says."""

import re

from render import ROOT, as_job

DOCUMENT = ROOT / "docs" / "KUBERNETES.md"
PRIVATE = "10.0.0.0/8"
COMPONENT = "app.kubernetes.io/component"


def matches(selector, labels):
    """A label selector of Kubernetes; an empty one matches everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        value, values = labels.get(rule["key"]), rule.get("values", [])
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[rule["operator"]]
        if not fits:
            return False
    return True


def pods(documents):
    """Labels of each kind of pod, by its component. An operator's cluster counts as the pods that it makes."""
    found = {}
    for document in map(as_job, documents):
        if document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            template = document["spec"]["template"]["metadata"]
            found[template["labels"][COMPONENT]] = {
                "labels": template["labels"], "namespace": document["metadata"].get("namespace", ""),
            }
        if document["kind"] == "Cluster" and document["apiVersion"].startswith("postgresql.cnpg.io/"):
            labels = document["spec"]["inheritedMetadata"]["labels"]
            found[labels[COMPONENT]] = {"labels": labels, "namespace": document["metadata"].get("namespace", "")}
    return found


def outside(peer):
    """The name of a peer that is no pod of ours: a namespace, or a part of the world."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        if block["cidr"] == PRIVATE:
            return "other regions"
        public = block["cidr"] == "2000::/3" or PRIVATE in block.get("except", [])
        return "public addresses" if public else "anywhere"
    selector = peer.get("namespaceSelector")
    if selector is None:
        return None
    return selector["matchLabels"]["kubernetes.io/metadata.name"]


class Side:
    """One direction of all policies of one pod: which pods and which others, on which ports."""

    def __init__(self, policies, pod, direction):
        self.isolated = False
        self.rules = []
        for policy in policies:
            same = policy["metadata"].get("namespace", "") == pod["namespace"]
            if not same or not matches(policy["spec"]["podSelector"], pod["labels"]):
                continue
            if direction not in policy["spec"]["policyTypes"]:
                continue
            self.isolated = True
            peers = "from" if direction == "Ingress" else "to"
            for rule in policy["spec"].get(direction.lower()) or []:
                self.rules.append((rule.get(peers) or [], [port["port"] for port in rule.get("ports") or []]))

    def pod_ports(self, other):
        """Ports on which this pod of the same namespace may be spoken to, or heard."""
        ports = set()
        for peers, allowed in self.rules:
            for peer in peers:
                inside = "podSelector" in peer and "namespaceSelector" not in peer
                if inside and matches(peer["podSelector"], other["labels"]):
                    ports.update(allowed)
        return ports

    def outsiders(self):
        """Pairs of a name and a port."""
        found = set()
        for peers, allowed in self.rules:
            for peer in peers:
                name = outside(peer)
                if name is not None:
                    found.update((name, port) for port in allowed)
        return found


def arrows(documents):
    """Every arrow that the policies let through, as (from, to, port), and what is wrong with the policies themselves."""
    policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
    known = pods(documents)
    into = {name: Side(policies, pod, "Ingress") for name, pod in known.items()}
    out = {name: Side(policies, pod, "Egress") for name, pod in known.items()}
    problems = [f"the pods of {name} are not closed" for name in known if not (into[name].isolated and out[name].isolated)]
    # Also for pods that nobody has thought of.
    closed = {p["metadata"].get("namespace", "") for p in policies if p["spec"]["podSelector"] == {}
              and sorted(p["spec"]["policyTypes"]) == ["Egress", "Ingress"] and not p["spec"].keys() & {"ingress", "egress"}}
    problems += [f"the namespace of {name} is not closed by default" for name in known if known[name]["namespace"] not in closed]
    found = set()
    for name, pod in known.items():
        for other, its in known.items():
            if pod["namespace"] == its["namespace"]:
                both = out[name].pod_ports(its) & into[other].pod_ports(pod)
                found.update((name, other, port) for port in both)
                # A door that is open on one side only is a mistake of the other.
                for port in out[name].pod_ports(its) ^ into[other].pod_ports(pod):
                    problems.append(f"{name} -> {other}:{port} is open at one end only")
        found.update((other, name, port) for other, port in into[name].outsiders())
        found.update((name, other, port) for other, port in out[name].outsiders())
    return found, problems


def table():
    """The arrows of the document: (from, to, ports, components that bring it)."""
    rows = []
    text = DOCUMENT.read_text()
    part = text.split("<!-- arrows -->", 1)[1].split("<!-- /arrows -->", 1)[0]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 4 or not re.match(r"^[\d, ]+$", cells[2]):
            continue
        split = [[word.strip() for word in cell.split(",")] for cell in cells[:4]]
        rows.append((split[0], split[1], [int(port) for port in split[2]], split[3]))
    if not rows:
        raise SystemExit(f"{DOCUMENT} holds no table of arrows")
    return rows


def documented(components, known):
    """What the table says for a rendering with these components and these pods."""
    expected = set()
    for sources, targets, ports, brought_by in table():
        if "base" not in brought_by and not set(brought_by) & set(components):
            continue
        for source in sources:
            for target in targets:
                if is_pod(source) and source not in known or is_pod(target) and target not in known:
                    continue
                expected.update((source, target, port) for port in ports)
    return expected


def is_pod(name):
    return name.startswith("worker-") or name in ("api", "ai", "migrate", "admin", "backup", "postgres", "redis", "store", "logging")


def problems(documents, components):
    """Where policies and document differ, both ways."""
    found, wrong = arrows(documents)
    expected = documented(components, pods(documents))
    show = lambda arrow: f"{arrow[0]} -> {arrow[1]}:{arrow[2]}"  # noqa: E731
    wrong += [f"the policies allow {show(arrow)}, which docs/KUBERNETES.md does not name" for arrow in sorted(found - expected)]
    wrong += [f"docs/KUBERNETES.md names {show(arrow)}, which the policies do not allow" for arrow in sorted(expected - found)]
    return wrong
