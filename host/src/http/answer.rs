//! An answer of JSON, written into one buffer that is large enough for nearly all.
//!
//! axum's own begins with 128 bytes and grows through `bytes`' writer, piece by piece; answers with
//! lines and a balance have a kilobyte.

use super::problem::{Kind, Problem};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The buffer an answer begins with, in bytes.
const BYTES: usize = 2_048;

/// What is answered.
pub struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(BYTES);
        match serde_json::to_writer(&mut body, &self.0) {
            Ok(()) => {
                let kind = HeaderValue::from_static("application/json");
                ([(CONTENT_TYPE, kind)], body).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer has no JSON text");
                Problem::new(Kind::Internal, "the answer could not be written").into_response()
            }
        }
    }
}
