"""Renders overlays and combinations of components with kustomize, as `kubectl kustomize` or `kustomize build`."""

import itertools
import json
import os
import pathlib
import shutil
import subprocess

import yaml

# The loader in C where the package has it: ten times faster.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ROOT = pathlib.Path(__file__).resolve().parents[3]
K8S = ROOT / "k8s"
OVERLAYS = ["development", "staging", "production", "regions/us-east", "regions/eu-west", "regions/ap-southeast"]
# In the order in which they are to be listed: what replaces a part comes after what brings it.
COMPONENTS = [
    "postgres-statefulset", "cloudnative-pg", "redis-sentinel", "seaweedfs", "s3", "backup", "backup-database", "ingress", "gateway-api", "istio",
    "blue-green", "monitoring", "keda", "external-secrets", "logging", "logging-elasticsearch",
]
# One of each line at most.
EITHER = [{"postgres-statefulset", "cloudnative-pg"}, {"seaweedfs", "s3"}]
NEEDS = {"logging-elasticsearch": {"logging"}, "backup-database": {"backup", "postgres-statefulset"}}


def renderer():
    """The command that renders, or None and why there is none."""
    if kustomize := shutil.which("kustomize"):
        return [kustomize, "build"], None
    kubectl = shutil.which("kubectl")
    if not kubectl:
        return None, "neither kubectl nor kustomize is installed"
    told = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
    try:
        minor = int(json.loads(told.stdout)["clientVersion"]["minor"].rstrip("+"))
    except (ValueError, KeyError):
        return None, "kubectl does not tell its version"
    if minor < 27:
        return None, f"kubectl 1.{minor} is too old: 1.27 or newer knows what is used here"
    return [kubectl, "kustomize"], None


def run(command, folder):
    """The documents of a kustomization."""
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{folder} cannot be rendered:\n{done.stderr.strip()}")
    warnings = [line for line in done.stderr.splitlines() if line.strip()]
    if warnings:
        raise SystemExit(f"{folder} renders with warnings:\n" + "\n".join(warnings))
    return [document for document in yaml.load_all(done.stdout, Loader=LOADER) if document]


def as_job(document):
    """A CronJob as the Job that it makes; any other document as it is."""
    if document["kind"] != "CronJob":
        return document
    return {**document, "kind": "Job", "spec": document["spec"]["jobTemplate"]["spec"]}


def by_hand(documents):
    """The Jobs that people start themselves, as they would stand in the namespace of these documents."""
    space = next(d["metadata"]["namespace"] for d in documents if d["kind"] == "ServiceAccount" and d["metadata"]["name"] == "carrel-migrate")
    found = []
    for path in sorted(K8S.glob("*-job.yaml")):
        for document in yaml.load_all(path.read_text(), Loader=LOADER):
            metadata = dict(document["metadata"])
            metadata["name"] = metadata.pop("generateName") + "by-hand"
            found.append({**document, "metadata": {**metadata, "namespace": space}})
    return found


def components_of(folder):
    """Names of the shared components that a kustomization lists."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("components", [])
    return [pathlib.PurePosixPath(entry).name for entry in listed if "components/" in entry]


def combinations(every_pair):
    """Sets of components that may stand together: everything at once, and if wanted each alone and each pair."""
    chosen = []
    for data, store in itertools.product(sorted(EITHER[0]), sorted(EITHER[1])):
        left_out = (EITHER[0] | EITHER[1]) - {data, store}
        left_out |= {name for name, needed in NEEDS.items() if needed & left_out}
        chosen.append([name for name in COMPONENTS if name not in left_out])
    if every_pair:
        for size in (0, 1, 2):
            for names in itertools.combinations(COMPONENTS, size):
                wanted = set(names)
                for name in names:
                    wanted |= NEEDS.get(name, set())
                if any(len(wanted & group) > 1 for group in EITHER):
                    continue
                names = [name for name in COMPONENTS if name in wanted]
                if names not in chosen:
                    chosen.append(names)
    return chosen


def combine(command, names):
    """The documents of the base with these components, in a namespace called `carrel`."""
    folder = ROOT / "target" / "kubernetes" / str(os.getpid())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        up = "../../../k8s"
        development = K8S / "overlays" / "development"
        for name in ("namespace.yaml", "site/namespace.yaml"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text((development / name).read_text().replace("carrel-development", "carrel"))
        site = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "resources": ["namespace.yaml"]}
        (folder / "site" / "kustomization.yaml").write_text(yaml.safe_dump(site))
        whole = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{up}/base"],
            "components": ["site", *(f"{up}/components/{name}" for name in names)],
            "transformers": ["namespace.yaml"],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
        return run(command, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
