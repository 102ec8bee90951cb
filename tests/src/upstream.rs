//! A provider: it answers by what the path asks for, in pieces that have nothing to do with events.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Bytes, Frame};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What answers.
pub type Answerer = dyn Fn(&Asked) -> Response + Send + Sync;

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    /// The path with its query.
    pub path: String,
    /// Its headers.
    pub headers: hyper::HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// The value of a field of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        fields.find_map(|(field, value)| (field == name).then_some(value))
    }
}

/// Serves until the runtime ends.
///
/// # Panics
/// No port is free.
pub async fn start(answerer: Arc<Answerer>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = move |request: Request| {
        let answerer = Arc::clone(&answerer);
        async move {
            let (head, body) = request.into_parts();
            // A provider reads what it is asked; what broke off is what came of it.
            let body = axum::body::to_bytes(body, usize::MAX).await;
            answerer(&Asked {
                path: head.uri.to_string(),
                headers: head.headers,
                body: body.unwrap_or_default(),
            })
        }
    };
    let router = Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves nobody until the runtime ends: reads what it is asked, says so, and then does not answer,
/// or with `hangs_up` ends the connection.
pub async fn silent(hangs_up: bool) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, when_asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while matches!(caller.read(&mut bytes).await, Ok(1..)) {
                    asked.send(()).ok();
                    if hangs_up {
                        break;
                    }
                }
            });
        }
    });
    (address, when_asked)
}

/// An answer of this content type, cut into pieces of up to `cut` bytes, each sent on its own.
pub fn pieces(content_type: &str, body: &[u8], cut: usize) -> Response {
    let pieces = body
        .chunks(cut.max(1))
        .map(Bytes::copy_from_slice)
        .collect();
    answer(content_type, Body::new(Pieces(pieces)))
}

/// An answer with a stated length.
pub fn whole(content_type: &str, body: &[u8]) -> Response {
    answer(content_type, Body::from(body.to_vec()))
}

/// An answer whose pieces come from elsewhere; an error breaks it off.
pub fn live(content_type: &str, pieces: mpsc::Receiver<Piece>) -> Response {
    answer(content_type, Body::new(Live(pieces)))
}

fn answer(content_type: &str, body: Body) -> Response {
    let answer = Response::builder().header("content-type", content_type);
    answer.body(body).unwrap()
}

/// A piece of an answer, or its breaking off.
pub type Piece = Result<Bytes, std::io::Error>;

struct Pieces(VecDeque<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

struct Live(mpsc::Receiver<Piece>);

impl hyper::body::Body for Live {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
