"""Whether a rendering fits the programs and itself: settings, files, ports, probes, queues, references, sizes, walls."""

import json
import re

import yaml

from network import COMPONENT, matches
from render import ROOT, as_job
from shapes import name_of

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
OURS = ("api", "ai", "migrate", "admin", "backup", "worker-")
# What one program needs beyond jobs.drain_seconds: the last spans (3 s) and some air.
AIR = 5
# Names of labels in the queries are those that the code writes (libs/queue, libs/rest).
LABELS = {"namespace", "queue", "state", "http_response_status_code", "http_request_method"}


def settings():
    """Keys of config/base.yaml as paths, with their defaults."""
    found = {}

    def walk(tree, path):
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(value, (*path, key))
            else:
                found[(*path, key)] = value

    walk(yaml.safe_load((ROOT / "config" / "base.yaml").read_text()), ())
    return found


def queues():
    """The queues that the code has."""
    source = (ROOT / "libs" / "domain" / "src" / "job.rs").read_text()
    body = re.search(r"pub enum QueueName \{(.*?)\n\}", source, re.S).group(1)
    return {name.lower() for name in re.findall(r"^    (\w+),", body, re.M)}


def routes():
    """Paths of health and metrics that the operators' listener and the API serve."""
    operators = (ROOT / "libs" / "runtime" / "src" / "observe.rs").read_text()
    api = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    return {"metrics": set(re.findall(r'\.route\("([^"]+)"', operators)), "http": set(api)}


class Rendering:
    """The documents of one kustomization, and everything that is asked of them."""

    def __init__(self, documents):
        self.documents = documents
        self.problems = []
        self.workloads = [d for d in map(as_job, documents) if d["kind"] in WORKLOADS]

    def of(self, *kinds):
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind, name):
        return next((d for d in self.documents if d["kind"] == kind and d["metadata"]["name"] == name), None)

    def wrong(self, document, text):
        self.problems.append(f"{name_of(document)}: {text}")

    def check(self):
        for workload in self.workloads:
            self.walls(workload)
            self.references(workload)
            self.probes(workload)
            if component(workload).startswith(OURS):
                self.program(workload)
        self.unique()
        self.services()
        self.scaling()
        self.served_queues()
        self.quota()
        self.queries()
        return self.problems

    def unique(self):
        seen = set()
        for document in self.documents:
            key = (document["apiVersion"], document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
            if key in seen:
                self.wrong(document, "is there twice")
            seen.add(key)

    # -- one pod

    def walls(self, workload):
        """Non-root, read-only, no capabilities, seccomp, limits. Fluent Bit must read what root wrote."""
        pod = workload["spec"]["template"]["spec"]
        security = pod.get("securityContext", {})
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            self.wrong(workload, "has no seccomp profile")
        if not security.get("runAsNonRoot") and component(workload) != "logging":
            self.wrong(workload, "may run as root")
        if pod.get("automountServiceAccountToken") is not False and component(workload) != "logging":
            self.wrong(workload, "holds a token of Kubernetes' API")
        for container in containers(pod):
            own = container.get("securityContext", {})
            if not own.get("readOnlyRootFilesystem") or own.get("allowPrivilegeEscalation") is not False:
                self.wrong(workload, f"{container['name']} may write to its image or gain rights")
            if own.get("capabilities", {}).get("drop") != ["ALL"]:
                self.wrong(workload, f"{container['name']} keeps capabilities")
            resources = container.get("resources", {})
            for side in ("requests", "limits"):
                if set(resources.get(side, {})) < {"cpu", "memory"}:
                    self.wrong(workload, f"{container['name']} names no {side} of cpu and memory")

    def references(self, workload):
        """Config maps, accounts and priorities are there; secrets come from elsewhere and are listed in the document."""
        pod = workload["spec"]["template"]["spec"]
        if not self.named("ServiceAccount", pod.get("serviceAccountName", "")):
            self.wrong(workload, "names an account that is not there")
        priority = pod.get("priorityClassName", "")
        if not priority.startswith("system-") and not self.named("PriorityClass", priority):
            self.wrong(workload, f"names the priority {priority!r}, which is not there")
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            if "configMap" in volume and not self.named("ConfigMap", volume["configMap"]["name"]):
                self.wrong(workload, f"mounts a config map that is not there: {volume['configMap']['name']}")
        for container in containers(pod):
            for source in container.get("envFrom", []):
                if "configMapRef" in source and not self.named("ConfigMap", source["configMapRef"]["name"]):
                    self.wrong(workload, f"takes settings from {source['configMapRef']['name']}, which is not there")
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes and mount["name"] not in claims:
                    self.wrong(workload, f"mounts {mount['name']}, which is no volume")

    def probes(self, workload):
        if workload["kind"] == "Job":
            return
        served = routes()
        for container in containers(workload["spec"]["template"]["spec"]):
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            ours = component(workload).startswith(OURS)
            wanted = {"livenessProbe", "readinessProbe"} | ({"startupProbe"} if ours else set())
            if not wanted <= set(container):
                self.wrong(workload, f"{container['name']} lacks {sorted(wanted - set(container))}")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                action = container.get(probe, {}).get("httpGet") or container.get(probe, {}).get("tcpSocket")
                if not action:
                    continue
                if action["port"] not in ports:
                    self.wrong(workload, f"{probe} asks the port {action['port']}, which is not there")
                elif ours and action["path"] not in served[action["port"]]:
                    self.wrong(workload, f"{probe} asks for {action['path']}, which no program serves")

    def environment(self, container):
        found = {}
        for source in container.get("envFrom", []):
            reference = source.get("configMapRef")
            found.update((self.named("ConfigMap", reference["name"]) or {"data": {}})["data"] if reference else {})
        found.update({entry["name"]: entry.get("value", "") for entry in container.get("env", [])})
        return found

    def program(self, workload):
        """Settings exist, have the right kind of value, name mounted files; ports and times agree with them."""
        known = settings()
        pod = workload["spec"]["template"]["spec"]
        for container in containers(pod):
            environment = self.environment(container)
            for name, value in environment.items():
                if not name.startswith("CARREL__"):
                    continue
                path = tuple(name.removeprefix("CARREL__").lower().split("__"))
                named_file = path not in known and path[-1].endswith("_file")
                if named_file:
                    path = (*path[:-1], path[-1].removesuffix("_file"))
                    if value not in files(pod, container):
                        self.wrong(workload, f"{name} names {value}, which is not mounted")
                if path not in known:
                    self.wrong(workload, f"{name} is no setting of config/base.yaml")
                elif not named_file and not fits(known[path], value):
                    self.wrong(workload, f"{name}={value} is no value for a setting like {known[path]}")
            self.ports_of(workload, container, environment)
            drain = environment.get("CARREL__JOBS__DRAIN_SECONDS", "")
            drain = int(drain) if drain.isdigit() else known[("jobs", "drain_seconds")]
            before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if workload["kind"] == "Deployment" and pod["terminationGracePeriodSeconds"] < drain + before + AIR:
                self.wrong(workload, f"is killed before its jobs have drained ({drain} s)")
        if workload["kind"] == "Deployment":
            rolling = workload["spec"]["strategy"]["rollingUpdate"]
            if rolling != {"maxSurge": 1, "maxUnavailable": 0}:
                self.wrong(workload, f"rolls with {rolling}")
            if not pod.get("topologySpreadConstraints"):
                self.wrong(workload, "is not spread over zones and nodes")

    def ports_of(self, workload, container, environment):
        listens = {"api": ["SERVER__LISTEN"], "ai": ["AI__LISTEN"]}.get(component(workload), [])
        if workload["kind"] == "Deployment":
            listens = [*listens, "SERVER__METRICS_LISTEN"]
        listens = {int(environment["CARREL__" + key].rsplit(":", 1)[1]) for key in listens}
        ports = {port["containerPort"] for port in container.get("ports", [])}
        if listens != ports:
            self.wrong(workload, f"opens {sorted(ports)}, but the settings listen on {sorted(listens)}")

    # -- between documents

    def services(self):
        for service in self.of("Service"):
            chosen = [w for w in self.workloads if w["kind"] != "Job" and matches(
                {"matchLabels": service["spec"]["selector"]}, w["spec"]["template"]["metadata"]["labels"])]
            if len(chosen) != 1:
                self.wrong(service, f"selects {len(chosen)} workloads")
                continue
            names = {p["name"] for c in containers(chosen[0]["spec"]["template"]["spec"]) for p in c.get("ports", [])}
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in names:
                    self.wrong(service, f"leads to the port {port['targetPort']}, which is not there")
        for config in self.of("ConfigMap"):
            for key, value in config["data"].items():
                address = re.fullmatch(r"http://(carrel-[\w-]+):(\d+)", value)
                if key.startswith("CARREL__") and address:
                    service = self.named("Service", address.group(1))
                    ports = {port["port"] for port in service["spec"]["ports"]} if service else set()
                    if int(address.group(2)) not in ports:
                        self.wrong(config, f"{key} leads to {value}, which no Service answers")
        for kind, find in (("Ingress", ingress_backends), ("HTTPRoute", route_backends), ("VirtualService", mesh_backends)):
            for document in self.of(kind):
                for backend in find(document):
                    if not self.named("Service", backend):
                        self.wrong(document, f"leads to {backend}, which is not there")

    def scaling(self):
        for scaler in self.of("HorizontalPodAutoscaler", "ScaledObject"):
            target = scaler["spec"]["scaleTargetRef"]
            found = self.named(target["kind"], target["name"])
            if not found:
                self.wrong(scaler, f"scales {target['kind']} {target['name']}, which is not there")
            elif found["spec"].get("replicas"):
                self.wrong(scaler, f"scales {target['name']}, which names its own number of replicas")
        scaled = [s["spec"]["scaleTargetRef"]["name"] for s in self.of("HorizontalPodAutoscaler", "ScaledObject")]
        for name in {name for name in scaled if scaled.count(name) > 1}:
            self.problems.append(f"{name} is scaled by two")
        for workload in self.of("Deployment"):
            if "replicas" not in workload["spec"] and workload["metadata"]["name"] not in scaled:
                self.wrong(workload, "has neither replicas nor a scaler")
        for budget in self.of("PodDisruptionBudget"):
            chosen = [w for w in self.workloads if w["kind"] != "Job" and matches(
                budget["spec"]["selector"], w["spec"]["template"]["metadata"]["labels"])]
            if len(chosen) != 1:
                self.wrong(budget, f"guards {len(chosen)} workloads")

    def served_queues(self):
        """Every queue that is named is one of the code's, and unless no worker runs here, every one is served."""
        served = set()
        for workload in self.of("Deployment"):
            arguments = workload["spec"]["template"]["spec"]["containers"][0].get("args", [])
            if component(workload) == "ai":
                served.add("ai")
            if "--queues" in arguments:
                named = arguments[arguments.index("--queues") + 1].split(",")
                served.update(entry.split("=")[0] for entry in named)
        if served - queues():
            self.problems.append(f"no such queue: {sorted(served - queues())}")
        if any(component(w).startswith("worker-") for w in self.workloads) and queues() - served:
            self.problems.append(f"nobody serves {sorted(queues() - served)}")

    def quota(self):
        """Every workload at its largest fits, while one of them rolls."""
        for quota in self.of("ResourceQuota"):
            space = quota["metadata"].get("namespace")
            sums = {"requests.cpu": 0, "requests.memory": 0, "limits.cpu": 0, "limits.memory": 0, "pods": 0}
            for workload in self.workloads + [c for c in self.of("Cluster") if "instances" in c["spec"]]:
                if workload["metadata"].get("namespace") == space:
                    add_up(sums, workload, self.largest(workload))
            for key, total in sums.items():
                if total > quantity(quota["spec"]["hard"][key]):
                    self.wrong(quota, f"{key} is {quota['spec']['hard'][key]}, but everything at its largest needs {total:.0f}")

    def largest(self, workload):
        for scaler in self.of("HorizontalPodAutoscaler", "ScaledObject"):
            if scaler["spec"]["scaleTargetRef"]["name"] == workload["metadata"]["name"]:
                return scaler["spec"].get("maxReplicas", scaler["spec"].get("maxReplicaCount")) + 1
        replicas = workload["spec"].get("replicas", workload["spec"].get("instances", 1))
        return replicas + (1 if workload["kind"] == "Deployment" else 0)

    def queries(self):
        """Metrics of ours that rules, scalers and analyses ask for are written by the code, with these labels."""
        written = set()
        for crate in ("queue", "operations", "rest", "storage", "runtime"):
            for source in (ROOT / "libs" / crate / "src").rglob("*.rs"):
                written.update(re.findall(r'"((?:carrel|http_server)_[a-z_]+)"', source.read_text()))
        for document in self.of("ScaledObject", "AnalysisTemplate", "PrometheusRule"):
            text = json.dumps(document["spec"])
            for metric in set(re.findall(r"\b((?:carrel|http_server)_[a-z_]+?)(?:_bucket|_count|_sum)?\{", text)):
                if metric not in written:
                    self.wrong(document, f"asks for {metric}, which the code does not write")
            for query in re.findall(r"(?:carrel|http_server)_[a-z_]+\{([^}]*)\}", text.replace("{{", "").replace("}}", "")):
                names = set(re.findall(r"([a-z_]+)=", query))
                if names - LABELS:
                    self.wrong(document, f"asks for the labels {sorted(names - LABELS)}")
                place = re.search(r"namespace='([^']*)'", query)
                if place and place.group(1) != document["metadata"].get("namespace"):
                    self.wrong(document, f"asks for the namespace {place.group(1)}")


def component(workload):
    return workload["spec"]["template"]["metadata"]["labels"].get(COMPONENT, "")


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def files(pod, container):
    """Paths of files that a container's secrets make."""
    found = set()
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        volume = volumes.get(mount["name"], {})
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            for entry in source.get("secret", {}).get("items", []):
                found.add(f"{mount['mountPath']}/{entry['path']}")
    return found


def fits(default, value):
    if isinstance(default, bool):
        return value in ("true", "false")
    if isinstance(default, int):
        return value.isdigit()
    if isinstance(default, float):
        return re.fullmatch(r"\d+(\.\d+)?", value) is not None
    return True


UNITS = {"m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "": 1}


def quantity(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()
    return float(number) * UNITS[unit]


def add_up(sums, workload, pods):
    sums["pods"] += pods
    holders = containers(workload["spec"]["template"]["spec"]) if "template" in workload["spec"] else [workload["spec"]]
    for holder in holders:
        for side in ("requests", "limits"):
            for kind in ("cpu", "memory"):
                sums[f"{side}.{kind}"] += pods * quantity(holder["resources"][side][kind])


def ingress_backends(document):
    return [p["backend"]["service"]["name"] for r in document["spec"]["rules"] for p in r["http"]["paths"]]


def route_backends(document):
    return [b["name"] for rule in document["spec"]["rules"] for b in rule.get("backendRefs", [])]


def mesh_backends(document):
    return [r["destination"]["host"] for h in document["spec"]["http"] for r in h["route"]]
