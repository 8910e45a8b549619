//! Who may ask: the password, and pages of other sites in a browser on this machine.

use super::Site;
use super::problem::{Kind, Problem};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Refuses whoever may not ask.
pub fn admit(site: &Site, parts: &Parts) -> Result<(), Problem> {
    match &site.settings.password {
        Some(password) => bearer(password, &parts.headers),
        None => own_page(site, parts),
    }
}

fn bearer(password: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let token = match given.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token.trim_ascii(),
        _ => b"",
    };
    if bool::from(password.as_bytes().ct_eq(token)) {
        return Ok(());
    }
    Err(Problem::new(Kind::Unauthorized, "send the password of this node as 'Authorization: Bearer <password>'")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"quorate\"")))
}

/// Without a password anyone who reaches the port may ask, and a web page of another site can make the browser of
/// someone on this machine reach it. Browsers say so, and such requests are refused.
fn own_page(site: &Site, parts: &Parts) -> Result<(), Problem> {
    let text = |name: &str| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = text("host");
    let foreign_site = text("sec-fetch-site").is_some_and(|from| from != "same-origin" && from != "none");
    let foreign_origin = text("origin").is_some_and(|origin| {
        let authority = origin.split_once("://").map_or(&origin[..], |(_, authority)| authority);
        host.as_deref() != Some(authority)
    });
    if foreign_site || foreign_origin {
        let detail = "this node has no password and takes no requests from pages of other sites";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    if site.loopback && host.as_deref().is_some_and(|host| !is_local(host)) {
        let detail = "this node has no password and listens on this machine only; name it by address or as localhost";
        return Err(Problem::new(Kind::Misdirected, detail));
    }
    Ok(())
}

/// An address or a name of this machine: a name that someone else's name server could have pointed here is neither.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    name.is_empty() || name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        for local in ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "[::1]:7070", "::1", "a.localhost", "10.0.0.7"] {
            assert!(is_local(local), "{local}");
        }
        for foreign in ["example.org", "example.org:7070", "localhost.example.org", "127.0.0.1.example.org:80"] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
