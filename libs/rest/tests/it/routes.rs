//! Every route of the OpenAPI document with what the tests expect of it. A route without a row here fails them.

use crate::files;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What an operation leaves in the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trail {
    /// An entry whose action is the operation's name.
    Entry,
    /// Nothing, because it changes nothing.
    Nothing,
}

/// What is expected of an operation.
struct Row {
    name: &'static str,
    /// `None` answers without a token. Such rows may only become fewer.
    scope: Option<&'static str>,
    trail: Trail,
}

const fn row(name: &'static str, scope: &'static str, trail: Trail) -> Row {
    Row { name, scope: Some(scope), trail }
}

const fn anonymous(name: &'static str) -> Row {
    Row { name, scope: None, trail: Trail::Nothing }
}

const ROWS: &[Row] = &[
    anonymous("get_liveness"),
    anonymous("get_readiness"),
    anonymous("issue_token"),
    anonymous("get_jwks"),
    anonymous("get_authorization_server"),
    row("create_collection", "documents:write", Trail::Entry),
    row("list_collections", "documents:read", Trail::Nothing),
    row("get_collection", "documents:read", Trail::Nothing),
    row("delete_collection", "documents:write", Trail::Entry),
    row("add_document", "documents:write", Trail::Entry),
    row("list_documents", "documents:read", Trail::Nothing),
    row("get_document", "documents:read", Trail::Nothing),
    row("delete_document", "documents:write", Trail::Entry),
    row("list_versions", "documents:read", Trail::Nothing),
    row("list_duplicates", "documents:read", Trail::Nothing),
    row("get_fixity", "documents:read", Trail::Nothing),
    row("list_generations", "jobs:read", Trail::Nothing),
    row("get_version", "documents:read", Trail::Nothing),
    row("get_text", "documents:read", Trail::Nothing),
    // Who took an original out of the archive matters as much as who put it in.
    row("get_original", "documents:read", Trail::Entry),
    row("diff_versions", "documents:read", Trail::Nothing),
    row("restore_version", "documents:write", Trail::Entry),
    row("create_baseline", "documents:write", Trail::Entry),
    row("list_baselines", "documents:read", Trail::Nothing),
    row("get_baseline", "documents:read", Trail::Nothing),
    row("list_baseline_documents", "documents:read", Trail::Nothing),
    row("compare_baselines", "documents:read", Trail::Nothing),
    // What the trail tells is read, not changed.
    row("list_audit", "audit:read", Trail::Nothing),
    row("get_label", "documents:read", Trail::Entry),
    row("scan_label", "custody:write", Trail::Entry),
    row("list_custody", "documents:read", Trail::Nothing),
    row("place_hold", "holds:write", Trail::Entry),
    row("list_holds", "documents:read", Trail::Nothing),
    row("release_hold", "holds:write", Trail::Entry),
    row("erase_document", "documents:erase", Trail::Entry),
    row("get_erasure", "documents:erase", Trail::Nothing),
    row("get_receipt", "documents:erase", Trail::Nothing),
    row("get_screening_policy", "documents:read", Trail::Nothing),
    row("set_screening_policy", "screening:policy", Trail::Entry),
    row("get_collection_screening_policy", "documents:read", Trail::Nothing),
    row("set_collection_screening_policy", "screening:policy", Trail::Entry),
    row("rescreen_collection", "screening:policy", Trail::Entry),
    row("release_version", "screening:review", Trail::Entry),
    row("reject_version", "screening:review", Trail::Entry),
    // It changes nothing, but who looked for a value matters.
    row("look_up_value", "screening:review", Trail::Entry),
    row("get_document_screening", "documents:read", Trail::Nothing),
    row("get_document_screening_csv", "documents:read", Trail::Nothing),
    row("get_document_screening_markdown", "documents:read", Trail::Nothing),
    row("get_collection_screening", "documents:read", Trail::Nothing),
    row("get_collection_screening_csv", "documents:read", Trail::Nothing),
    row("get_collection_screening_markdown", "documents:read", Trail::Nothing),
    row("search", "search", Trail::Nothing),
    row("ask", "research", Trail::Entry),
    row("list_runs", "research", Trail::Nothing),
    row("get_run", "research", Trail::Nothing),
    row("watch_run", "research", Trail::Nothing),
    row("get_report_markdown", "research", Trail::Nothing),
    row("get_report_json", "research", Trail::Nothing),
    row("verify_run", "research", Trail::Nothing),
    row("reproduce_run", "research", Trail::Entry),
    row("compare_runs", "research", Trail::Nothing),
    // A bundle carries the texts of versions out of the archive.
    row("get_bundle", "research", Trail::Entry),
    row("list_jobs", "jobs:read", Trail::Nothing),
    row("get_job", "jobs:read", Trail::Nothing),
    row("retry_job", "jobs:write", Trail::Entry),
    row("retry_dead_jobs", "jobs:write", Trail::Entry),
    row("cancel_job", "jobs:write", Trail::Entry),
];

/// An operation of the document with its row.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) scope: Option<&'static str>,
    pub(crate) trail: Trail,
    /// As the document has it.
    pub(crate) operation: Value,
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(carrel_rest::openapi_document()).unwrap());

/// Every operation of the document.
pub(crate) fn all() -> Vec<Route> {
    let mut routes = Vec::new();
    let mut named = BTreeSet::new();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            let row = ROWS.iter().find(|row| row.name == name);
            let row = row.unwrap_or_else(|| panic!("{name} needs a row in tests/it/routes.rs"));
            assert!(named.insert(row.name), "two operations are called {name}");
            routes.push(Route {
                name: name.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scope: row.scope,
                trail: row.trail,
                operation: operation.clone(),
            });
        }
    }
    for row in ROWS {
        assert!(named.contains(row.name), "{} is no operation any more", row.name);
    }
    routes
}

/// Every operation that needs a token.
pub(crate) fn guarded() -> Vec<Route> {
    all().into_iter().filter(|route| route.scope.is_some()).collect()
}

impl Route {
    /// The path with an id in it, and in the parameters that must be given.
    pub(crate) fn with_id(&self, id: impl std::fmt::Display) -> String {
        let mut path = self.path.replace("{id}", &id.to_string());
        for parameter in self.operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" && parameter["required"] == true {
                assert_eq!(parameter["schema"]["format"], "uuid", "{}: no test knows this parameter", self.name);
                let sign = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{sign}{}={id}", parameter["name"].as_str().unwrap());
            }
        }
        path
    }

    /// The document's example of the JSON body.
    pub(crate) fn example(&self) -> Option<&Value> {
        let content = &self.operation["requestBody"]["content"]["application/json"];
        content.is_object().then(|| content.get("example").unwrap_or_else(|| panic!("{}: no example", self.name)))
    }

    /// Gives a request the body that the operation takes.
    pub(crate) fn with_body(&self, request: RequestBuilder) -> RequestBuilder {
        if let Some(example) = self.example() {
            return request.json(example);
        }
        if self.operation["requestBody"]["content"]["multipart/form-data"].is_object() {
            let file = Part::bytes(files::TEXT.as_bytes()).file_name("a.txt");
            return request.multipart(Form::new().part("file", file));
        }
        assert_eq!(self.operation["requestBody"], json!(null), "{}: no test knows its body", self.name);
        request
    }
}
