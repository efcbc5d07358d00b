//! The OpenAPI document says all that a stranger needs to use an operation.

use crate::routes;
use carrel_domain::Scopes;
use carrel_rest::problem::CODES;
use carrel_testkit::{Setup, TestApp};
use reqwest::Method;
use serde_json::Value;

/// Every problem response of an operation, by status.
fn problems(operation: &Value) -> Vec<(u16, &Value)> {
    let responses = operation["responses"].as_object().unwrap().iter();
    let problems = responses.filter_map(|(status, response)| {
        let content = response["content"].get("application/problem+json")?;
        Some((status.parse().unwrap(), content))
    });
    problems.collect()
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().len() > 5)
}

#[test]
fn every_operation_is_described() {
    for route in routes::all() {
        let (name, operation) = (&route.name, &route.operation);
        assert!(has_text(&operation["summary"]), "{name}: summary");
        assert!(has_text(&operation["description"]), "{name}: description");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}: tag");
        assert!(operation["security"].is_array(), "{name}: security");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(has_text(&parameter["description"]), "{name}: parameter {}", parameter["name"]);
        }
        let keyed = operation["parameters"].to_string().contains("Idempotency-Key");
        let wants_key =
            route.method == Method::POST && !["search", "issue_token", "look_up_value"].contains(&name.as_str());
        assert_eq!(keyed, wants_key, "{name}: Idempotency-Key");
    }
}

#[test]
fn every_body_has_an_example() {
    for route in routes::all() {
        let name = &route.name;
        for (media_type, content) in route.operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(content.get("example").is_some(), "{name}: request body {media_type}");
        }
        let mut successes = 0;
        for (status, response) in route.operation["responses"].as_object().unwrap() {
            assert!(has_text(&response["description"]), "{name}: {status}");
            successes += i32::from(status.starts_with('2'));
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                let partial = status == "206";
                let given = content.get("example").is_some() || content.get("examples").is_some();
                assert!(given || partial, "{name}: {status} {media_type}");
            }
        }
        assert!(successes > 0, "{name}: no success");
    }
}

#[test]
fn every_operation_lists_the_problems_it_may_answer() {
    for route in routes::all() {
        let name = &route.name;
        let found = problems(&route.operation);
        let mut expected = vec![500, 504];
        if route.scope.is_some() {
            expected.extend([401, 403, 503]);
        }
        if route.path.contains("{id}") {
            expected.extend([400, 404]);
        }
        if route.example().is_some() {
            expected.extend([400, 413, 415, 422]);
        }
        for status in expected {
            assert!(found.iter().any(|(found, _)| *found == status), "{name}: {status}");
        }
        for (status, content) in found {
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/ProblemBody", "{name}: {status}");
            let examples = content["examples"].as_object().unwrap_or_else(|| panic!("{name}: {status} names no code"));
            for (code, example) in examples {
                let entry = CODES.iter().find(|entry| entry.code == code).unwrap();
                assert_eq!(entry.status, status, "{name}: {code} has another status");
                assert_eq!(example["value"]["advice"], entry.advice, "{name}: {code}");
            }
        }
    }
}

#[test]
fn every_code_belongs_to_some_operation() {
    let document = serde_json::to_string(&carrel_rest::openapi_document()).unwrap();
    for code in CODES {
        // Answers to requests that meet no operation.
        if code.code != "method_not_allowed" {
            assert!(document.contains(&format!("`{}`", code.code)), "{}", code.code);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_work() {
    let app = TestApp::start_with(Setup { jobs: 0, ..Setup::default() }).await;
    app.expect_unfinished();
    let client = app.client(Scopes::all()).await;
    let mut tried = 0;
    for route in routes::guarded() {
        let Some(example) = route.example().filter(|_| !route.path.contains('{')) else { continue };
        // They name what must be there; tests/it/custody.rs and tests/it/erasure.rs send them.
        if ["scan_label", "place_hold", "release_hold", "erase_document"].contains(&route.name.as_str()) {
            continue;
        }
        let answer = client.request(route.method.clone(), &route.path).json(example).send().await.unwrap();
        assert!(answer.status().is_success(), "{}: {}", route.name, answer.text().await.unwrap());
        tried += 1;
    }
    assert!(tried >= 3, "{tried}");
}
