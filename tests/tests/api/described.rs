//! Whatever the server answers to any test is an answer that its description has.

use super::server::Answer;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// Fails where the description of the API has no such answer to such a request.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    static PATHS: OnceLock<Map<String, Value>> = OnceLock::new();
    let paths = PATHS.get_or_init(|| {
        let document = serde_json::to_value(farebox::http::openapi()).unwrap();
        document["paths"].as_object().unwrap().clone()
    });
    let asked = format!("{method} {path}");
    let path = path.split('?').next().unwrap();
    let Some(item) = find(paths, path) else {
        // Other paths may be those of a program that embeds the API.
        if path.starts_with("/v1/") {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{asked}");
        }
        return;
    };
    // A `HEAD` is answered as its `GET`, without a body.
    let named = if *method == Method::HEAD {
        "get"
    } else {
        method.as_str()
    };
    let Some(operation) = item.get(named.to_lowercase()) else {
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{asked}");
        return;
    };
    let status = answer.status.as_str();
    let range = format!("{}XX", &status[..1]);
    let responses = &operation["responses"];
    let described = responses.get(status).or_else(|| responses.get(range));
    let described = described.unwrap_or_else(|| panic!("{asked}: nothing is said of {status}"));
    if *method == Method::HEAD {
        return;
    }
    let has = answer.headers.get("content-type").map(|value| {
        let media = value.to_str().unwrap();
        media.split(';').next().unwrap().to_owned()
    });
    match (described["content"].as_object(), has) {
        (Some(content), Some(media)) => {
            assert!(
                content.contains_key(&media),
                "{asked}: {status} is `{media}`"
            );
        }
        (None, None) => assert!(answer.body.is_empty(), "{asked}: {status} has a body"),
        (described, has) => panic!("{asked}: {status} is {has:?}, and described as {described:?}"),
    }
}

/// The item of a path; one that is written out goes before one with a parameter.
fn find<'a>(paths: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let is_it = |template: &str| {
        let (mut asked, mut named) = (path.split('/'), template.split('/'));
        loop {
            match (asked.next(), named.next()) {
                (None, None) => return true,
                (Some(_), Some(named)) if named.starts_with('{') => {}
                (Some(asked), Some(named)) if asked == named => {}
                _ => return false,
            }
        }
    };
    let written_out = paths.get(path);
    written_out.or_else(|| {
        paths
            .iter()
            .find(|(named, _)| is_it(named))
            .map(|(_, item)| item)
    })
}
