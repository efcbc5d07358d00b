//! What holds for every operation is added here once: the problems that any request may meet, and examples.

use super::examples;
use crate::problem::{
    BODY_TOO_LARGE, CODES, CONFLICT, Code, DATABASE_UNAVAILABLE, FOREIGN_CURSOR, IDEMPOTENCY_IN_PROGRESS,
    IDEMPOTENCY_MISMATCH, INTERNAL, INVALID_PARAMETER, INVALID_VALUE, MALFORMED_BODY, Problem, SCOPE_MISSING,
    STORE_UNAVAILABLE, TIMED_OUT, UNAUTHENTICATED, UNSUPPORTED_MEDIA_TYPE,
};
use carrel_wire::ProblemBody;
use std::collections::BTreeMap;
use utoipa::openapi::example::Example;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Schema};

const PROBLEM: &str = "application/problem+json";

pub(super) fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in changing.into_iter().flatten() {
            complete_operation(operation, true);
        }
        if let Some(operation) = &mut item.get {
            complete_operation(operation, false);
        }
    }
}

fn complete_operation(operation: &mut Operation, changes: bool) {
    add_problems(operation, changes);
    if let Some(RefOr::T(RequestBody { content, .. })) = &mut operation.request_body {
        for (media_type, content) in content {
            add_example(media_type, content);
        }
    }
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        for (media_type, content) in &mut response.content {
            add_example(media_type, content);
        }
    }
    let name = operation.operation_id.clone().unwrap_or_default();
    if let Some(example) = examples::of_operation(&name)
        && let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200")
    {
        for content in response.content.values_mut() {
            if let RefOr::T(content) = content {
                content.example = Some(example.clone());
            }
        }
    }
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

/// The codes that the operation's kind of request may meet, beside those that its handler names.
fn general(operation: &Operation, changes: bool) -> Vec<Code> {
    let mut codes = vec![INTERNAL, TIMED_OUT];
    let token = operation.security.iter().flatten().any(|requirement| {
        serde_json::to_value(requirement).is_ok_and(|value| value.as_object().is_some_and(|map| !map.is_empty()))
    });
    if !token {
        return codes;
    }
    codes.extend([UNAUTHENTICATED, SCOPE_MISSING, DATABASE_UNAVAILABLE]);
    if changes {
        codes.push(CONFLICT);
    }
    for parameter in parameters(operation) {
        match parameter.name.as_str() {
            "Idempotency-Key" => {
                codes.extend([INVALID_PARAMETER, INVALID_VALUE, IDEMPOTENCY_IN_PROGRESS, IDEMPOTENCY_MISMATCH]);
            }
            "cursor" => codes.push(FOREIGN_CURSOR),
            "limit" | "external_id" | "kind" => codes.extend([INVALID_PARAMETER, INVALID_VALUE]),
            "Range" => codes.push(STORE_UNAVAILABLE),
            _ => codes.push(INVALID_PARAMETER),
        }
    }
    if let Some(RefOr::T(body)) = &operation.request_body {
        codes.extend([BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE]);
        if body.content.contains_key("application/json") {
            codes.push(MALFORMED_BODY);
        } else {
            codes.push(STORE_UNAVAILABLE);
        }
    }
    codes
}

/// Every code of the operation by status, with one example each.
fn add_problems(operation: &mut Operation, changes: bool) {
    let mut by_status: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for code in general(operation, changes) {
        by_status.entry(code.status.to_string()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let found = operation.responses.responses.entry(status).or_insert_with(|| RefOr::T(Response::new("")));
        let RefOr::T(response) = found else { continue };
        for code in codes {
            let name = format!("`{}`", code.code);
            if response.description.contains(&name) {
                continue;
            }
            if !response.description.is_empty() {
                response.description.push_str("; ");
            }
            response.description.push_str(&name);
        }
        let problem = || RefOr::T(Content::new(Some(Ref::from_schema_name("ProblemBody"))));
        response.content.entry(PROBLEM.to_owned()).or_insert_with(problem);
    }
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM) else { continue };
        for code in CODES.iter().filter(|code| response.description.contains(&format!("`{}`", code.code))) {
            let mut example = Example::new();
            code.title.clone_into(&mut example.summary);
            example.value = serde_json::to_value(problem(*code)).ok();
            content.examples.insert(code.code.to_owned(), RefOr::T(example));
        }
    }
}

fn problem(code: Code) -> ProblemBody {
    let mut body = Problem::new(code, code.title).body();
    examples::REQUEST.clone_into(&mut body.request_id);
    body
}

fn add_example(media_type: &str, content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    if content.example.is_some() || !content.examples.is_empty() {
        return;
    }
    content.example = match &content.schema {
        Some(RefOr::Ref(schema)) => named(schema).and_then(|name| examples::of_schema(media_type, name)),
        Some(RefOr::T(Schema::Array(array))) => serde_json::to_value(array).ok().and_then(|array| {
            let name = array["items"]["$ref"].as_str()?.rsplit('/').next()?.to_owned();
            Some(vec![examples::of_schema(media_type, &name)?].into())
        }),
        _ => None,
    };
}

fn named(schema: &Ref) -> Option<&str> {
    schema.ref_location.rsplit('/').next()
}
