//! Providers that answer as they once did: a request gets the recorded answer of that provider to a
//! call of the same family, model and manner, under an id that no other answer has.
//!
//! Each wants its own key in its own header, as the real ones do, and keeps count of what it
//! served. So whoever stands before them can be held to account. Text was blanked in the recording,
//! so a stream's words are empty.

use super::recorded::Recorded;
use super::upstream::{self, Asked};
use axum::response::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// How a provider takes its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// `authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    ApiKey,
}

/// One provider, and what it served.
#[derive(Debug)]
pub struct Provider {
    place: KeyPlace,
    /// Keys that it takes.
    keys: Vec<String>,
    /// Between two events of a stream.
    pace: Duration,
    recorded: Vec<Value>,
    /// What it says to every call instead.
    trouble: Mutex<Option<StatusCode>>,
    asked: Mutex<Vec<Request>>,
    served: Mutex<Vec<Served>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// Its headers.
    pub headers: hyper::HeaderMap,
    /// Its body.
    pub text: String,
    /// The same, null where it is not JSON.
    pub body: Value,
}

/// An answer that was given.
#[derive(Clone, Debug)]
pub struct Served {
    /// The id in it.
    pub id: String,
    /// The call as it is recorded, under that id: what `farebox rate` reads.
    pub call: Value,
}

impl Provider {
    /// A provider by its id, such as `openai`, that takes `keys`.
    ///
    /// # Panics
    /// The recording is not there.
    pub fn new(name: &str, place: KeyPlace, keys: &[&str]) -> Self {
        let recorded = Recorded::all().into_iter().map(|recorded| recorded.json());
        Self {
            place,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            pace: Duration::ZERO,
            recorded: recorded
                .filter(|call| call["provider"] == name && call["status"] == 200)
                .collect(),
            trouble: Mutex::default(),
            asked: Mutex::default(),
            served: Mutex::default(),
        }
    }

    /// One that lets this pass between two events of a stream, for people who watch.
    #[must_use]
    pub const fn at_pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Serves until the runtime ends.
    ///
    /// # Panics
    /// No port is free.
    pub async fn serve(self: Arc<Self>) -> SocketAddr {
        upstream::start(Arc::new(move |asked: &Asked| self.answer(asked))).await
    }

    /// From now on it answers with this status and serves nothing; `None`: it serves again.
    ///
    /// # Panics
    /// An answerer panicked.
    pub fn in_trouble(&self, status: Option<StatusCode>) {
        *self.trouble.lock().unwrap() = status;
    }

    /// Every request that came.
    ///
    /// # Panics
    /// An answerer panicked.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// Every answer that was given.
    ///
    /// # Panics
    /// An answerer panicked.
    pub fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap().clone()
    }

    fn answer(&self, asked: &Asked) -> Response {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        self.asked.lock().unwrap().push(Request {
            path: asked.path.clone(),
            headers: asked.headers.clone(),
            text: String::from_utf8_lossy(&asked.body).into_owned(),
            body: body.clone(),
        });
        if let Some(status) = *self.trouble.lock().unwrap() {
            return refused(status, "trouble", "not now");
        }
        if !self.knows(asked) {
            return refused(StatusCode::UNAUTHORIZED, "invalid_api_key", "wrong key");
        }
        let Some(call) = self.find(&asked.path, &body) else {
            let model = &body["model"];
            return refused(
                StatusCode::NOT_FOUND,
                "model_not_found",
                &format!("no answer of {model} is recorded"),
            );
        };
        match call["sse"].as_str() {
            Some(stream) if self.pace.is_zero() => {
                upstream::pieces("text/event-stream; charset=utf-8", stream.as_bytes(), 200)
            }
            Some(stream) => paced(stream, self.pace),
            None => upstream::whole("application/json", call["response"].to_string().as_bytes()),
        }
    }

    fn knows(&self, asked: &Asked) -> bool {
        let header = |name| asked.headers.get(name)?.to_str().ok();
        let key = match self.place {
            KeyPlace::Bearer => {
                header("authorization").and_then(|value| value.strip_prefix("Bearer "))
            }
            KeyPlace::ApiKey => header("x-api-key"),
        };
        key.is_some_and(|key| self.keys.iter().any(|own| own == key))
    }

    /// The next recorded call of that kind, under an id of its own.
    fn find(&self, path: &str, body: &Value) -> Option<Value> {
        let path = path.split('?').next()?;
        let api = match path.rsplit('/').next()? {
            "completions" => "chat",
            "messages" => "messages",
            "responses" => "responses",
            _ => return None,
        };
        let streamed = body["stream"] == true;
        let of_kind = |call: &&Value| {
            call["api"] == api
                && call["request"]["model"] == body["model"]
                && call["sse"].is_string() == streamed
        };
        let candidates: Vec<&Value> = self.recorded.iter().filter(of_kind).collect();
        let mut served = self.served.lock().unwrap();
        let number = served.len();
        let call = candidates.get(number.checked_rem(candidates.len())?)?;
        let recorded_id = id(call)?;
        let id = format!("{recorded_id}-{number}");
        let call = call.to_string().replace(&recorded_id, &id);
        let call: Value = serde_json::from_str(&call).ok()?;
        let kept = call.clone();
        served.push(Served { id, call: kept });
        Some(call)
    }
}

/// The id of a recorded answer.
fn id(call: &Value) -> Option<String> {
    if let Some(id) = call["response"]["id"].as_str() {
        return Some(id.to_owned());
    }
    let stream = call["sse"].as_str()?;
    let events = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let mut events = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    events.find_map(|event| {
        let places = [
            &event["id"],
            &event["message"]["id"],
            &event["response"]["id"],
        ];
        places.into_iter().find_map(Value::as_str).map(Into::into)
    })
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response {
    let error = json!({"error": {"type": kind, "message": message}});
    let mut answer = upstream::whole("application/json", error.to_string().as_bytes());
    *answer.status_mut() = status;
    answer
}

/// A stream that comes event by event.
fn paced(stream: &str, pace: Duration) -> Response {
    let (sender, pieces) = mpsc::channel(1);
    let events = stream.split_inclusive("\n\n");
    let events: Vec<Bytes> = events.map(|event| Bytes::from(event.to_owned())).collect();
    tokio::spawn(async move {
        for event in events {
            if sender.send(Ok(event)).await.is_err() {
                // The caller went away.
                return;
            }
            tokio::time::sleep(pace).await;
        }
    });
    upstream::live("text/event-stream; charset=utf-8", pieces)
}
