"""Strict shapes of documents: Kubernetes' own schemas for built-in kinds, and for the kinds of others either their full
schemas (a folder, CARREL_K8S_SCHEMAS) or k8s/schemas: the fields that are used here, learnt from documents that had passed
the full ones. A field that was never checked is refused until somebody learns again."""

import copy
import functools
import json
import pathlib

import yaml
from jsonschema import Draft202012Validator

from render import K8S

LEARNT = K8S / "schemas"
BUILT_IN = (
    "v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1", "scheduling.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
)
VERSION = "1.33"
# Maps whose keys are names or words of somebody else.
FREE = {"annotations", "labels", "matchLabels", "parameters", "hard", "requests", "limits", "options", "portLevelMtls"}


def name_of(document):
    return f"{document['kind']} {document['metadata']['name']}"


def place(folder, document):
    group, _, version = document["apiVersion"].rpartition("/")
    return pathlib.Path(folder) / group / f"{document['kind'].lower()}_{version}.json"


def strict(schema):
    """Unknown fields are errors, and the API server's own extensions mean what they mean there."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    open_map = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and not open_map:
        schema["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return schema


class Shapes:
    """What each kind of document may look like."""

    def __init__(self, full=None):
        self.full = full
        self.known = {}

    def problems(self, document):
        """What is wrong with the shape of one document."""
        if document["apiVersion"] in BUILT_IN:
            return built_in(document)
        validator = self.validator(document)
        if validator is None:
            return ["no schema of this kind is known; learn it (scripts/prove.d/k8s --help)"]
        errors = sorted(validator.iter_errors(document), key=lambda error: list(map(str, error.path)))
        return [f"{'/'.join(map(str, error.path)) or '.'}: {error.message[:200]}" for error in errors]

    def validator(self, document):
        key = (document["apiVersion"], document["kind"])
        if key not in self.known:
            paths = [place(LEARNT, document)]
            if self.full:
                paths.insert(0, place(self.full, document))
            found = next((path for path in paths if path.exists()), None)
            schema = json.loads(found.read_text()) if found else None
            if schema:
                schema = strict(schema)
                for field in ("apiVersion", "kind", "metadata"):
                    schema.setdefault("properties", {}).setdefault(field, {})
            self.known[key] = Draft202012Validator(schema) if schema else None
        return self.known[key]


def built_in(document):
    import kubernetes_validate
    from kubernetes_validate import utils

    if not hasattr(utils.schema_contents, "cache_info"):
        # It reads a megabyte of definitions for each document.
        utils.schema_contents = functools.cache(utils.schema_contents)
        utils.all_versions = functools.cache(utils.all_versions)
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'/'.join(map(str, error.path)) or '.'}: {error.message[:200]}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [f"{error}"]
    return []


def learn(documents):
    """Writes the shapes of the kinds of others, as these documents use them."""
    shapes = {}
    for document in documents:
        if document["apiVersion"] in BUILT_IN:
            continue
        path = place(LEARNT, document)
        body = copy.deepcopy(document)
        body.pop("metadata")
        shapes[path] = merge(shapes.get(path), shape(body, ""))
    for path, schema in sorted(shapes.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    return sorted(shapes)


def shape(value, name):
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    if isinstance(value, dict):
        if name in FREE or (name == "metadata" and "query" in value):
            return {"type": "object", "additionalProperties": True}
        return {"type": "object", "properties": {key: shape(inner, key) for key, inner in value.items()}}
    if isinstance(value, list):
        items = None
        for inner in value:
            items = merge(items, shape(inner, name))
        return {"type": "array", "items": items or {}}
    return {"type": [kinds[type(value)]]}


def merge(one, other):
    if one is None or one == other:
        return other
    if isinstance(one["type"], list) and isinstance(other["type"], list):
        return {"type": sorted({*one["type"], *other["type"]})}
    if one["type"] != other["type"] or one.get("additionalProperties"):
        return {} if one["type"] != other["type"] else one
    if one["type"] == "array":
        return {"type": "array", "items": merge(one["items"] or None, other["items"] or one["items"])}
    if other.get("additionalProperties"):
        return other
    properties = dict(one["properties"])
    for key, inner in other["properties"].items():
        properties[key] = merge(properties.get(key), inner)
    return {"type": "object", "properties": properties}


def documents_in(paths):
    return [document for path in paths for document in yaml.safe_load_all(path.read_text()) if document]
