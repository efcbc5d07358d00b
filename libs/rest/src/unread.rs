//! Reads what a refused request still sends. A server that answers and closes while bytes are on their way makes the
//! client's kernel drop the answer (RFC 9112, 9.6), so a client with too large a body, or without a token, would see a
//! broken connection instead of the problem that names its mistake. Never reads more than [`BYTES`] or for longer than
//! [`TIME`], and keeps nothing of it.

use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// The most that is read after an answer stands; a client with more to say must live with a closed connection.
const BYTES: u64 = 64 << 20;
/// How long a client may take for it.
const TIME: Duration = Duration::from_secs(2);

/// Middleware: runs the request, then reads what is left of its body before the answer goes out.
pub(crate) async fn read_on(request: Request, next: Next) -> Response {
    // A client that waits for `100 Continue` has sent nothing, and reading would invite it to.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    let (back, mut left) = oneshot::channel();
    let response = next.run(request.map(|body| Body::new(Lent { body, back: Some(back) }))).await;
    if let Ok(body) = left.try_recv() {
        // In time or not: the answer goes out.
        let _ = tokio::time::timeout(TIME, discard(body)).await;
    }
    response
}

async fn discard(body: Body) {
    let mut body = pin!(body);
    let mut read = 0;
    while read < BYTES {
        match std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) | None => return,
        }
    }
}

/// A body that comes back when its reader drops it before its end.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.back = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.body.is_end_stream()
        {
            // Nobody waits for it when the request was given up.
            let _ = back.send(mem::take(&mut self.body));
        }
    }
}
