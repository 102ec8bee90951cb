//! A caller: what it sends, and all that comes back.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A caller of one Envoy, in one version of HTTP.
pub struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    envoy: SocketAddr,
}

/// An answer as the caller gets it.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// What the filter told, by name.
pub type Told = BTreeMap<String, String>;

impl Caller {
    pub fn new(envoy: SocketAddr, http2: bool) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        let client = builder.http2_only(http2).build_http();
        Self { client, envoy }
    }

    /// Sends, and leaves the body to be read.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Response<hyper::body::Incoming> {
        let answer = self.try_send(method, path, headers, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// The same, where nobody may be there.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<hyper::Response<hyper::body::Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.envoy))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.client.request(request).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Got {
        let answer = self.send(Method::POST, path, &[], body).await;
        whole(answer).await
    }
}

/// The rest of an answer.
pub async fn whole(answer: hyper::Response<hyper::body::Incoming>) -> Got {
    let (head, body) = answer.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Got {
        status: head.status,
        headers: head.headers,
        body: collected.to_bytes().to_vec(),
        trailers,
    }
}

impl Got {
    /// What stands in the headers.
    pub fn in_headers(&self) -> Told {
        told(&self.headers)
    }

    /// What stands in the trailers.
    pub fn in_trailers(&self) -> Told {
        told(&self.trailers)
    }

    /// What stands in the last comment, and the body before it.
    pub fn in_comment(&self) -> Option<(Told, &[u8])> {
        let text = std::str::from_utf8(&self.body).unwrap();
        let at = text.rfind(": farebox ")?;
        let (before, comment) = text.split_at(at);
        let json = comment.strip_prefix(": farebox ")?.trim_end();
        Some((serde_json::from_str(json).unwrap(), before.as_bytes()))
    }
}

fn told(headers: &HeaderMap) -> Told {
    let fields = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("farebox-")?.replace('-', "_");
        Some((name, value.to_str().unwrap().to_owned()))
    });
    fields.collect()
}

/// What the record of a call keeps.
pub fn kept(call: &Value) -> Option<Told> {
    serde_json::from_str(call["told"].as_str()?).unwrap()
}
