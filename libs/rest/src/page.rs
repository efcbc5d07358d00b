//! The web page, from assets inside the binary.

use crate::app::unknown_address;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../frontend/dist"]
struct Assets;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Serves an asset, or the page itself for addresses that the page handles.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let ours = ["api/", "oauth/", ".well-known/", "health/", "docs/"].iter().any(|prefix| path.starts_with(prefix));
    if ours || !matches!(method, Method::GET | Method::HEAD) {
        return unknown_address().into_response();
    }
    let (name, file) = match Assets::get(path) {
        Some(file) => (path, file),
        // A missing script must not be answered with a page.
        None if path.rsplit('/').next().is_some_and(|last| last.contains('.')) => {
            return unknown_address().into_response();
        }
        None => match Assets::get("index.html") {
            Some(file) => ("index.html", file),
            None => return unknown_address().into_response(),
        },
    };
    let digest: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{digest}\"");
    let mut response = if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.into_owned().into_response()
    };
    let media_type = mime_guess::from_path(name).first_or_octet_stream();
    // File names below assets/ carry a digest of their content.
    let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let out = response.headers_mut();
    out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    out.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    for (header, text) in [(CONTENT_TYPE, media_type.as_ref()), (ETAG, etag.as_str())] {
        if let Ok(value) = HeaderValue::from_str(text) {
            out.insert(header, value);
        }
    }
    response
}
