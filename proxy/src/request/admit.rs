//! What is refused before anybody asks where it should go.
//!
//! hyper has parsed the head by now and refuses what cannot be parsed, oversized heads and ambiguous lengths among it. Here
//! come the rules that depend on being a reverse proxy: exactly one host, no tunnels, no protocol switches that would hide
//! requests from us, no request that comes back.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Version, header};

use super::cdn_loop::CdnLoop;
use super::refusal::Refused;

/// What the head says, checked.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// The host as the client named it, with its port if it gave one.
    pub(crate) authority: Authority,
    /// Whether the client wants to switch protocols (HTTP/1.1 only), for example to WebSocket.
    pub(crate) wants_upgrade: bool,
}

/// Checks a head. `cdn_loop` knows who has passed here before.
pub(crate) fn admit(parts: &Parts, cdn_loop: &CdnLoop) -> Result<Admitted, Refused> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        let refused = Refused::new(
            http::StatusCode::METHOD_NOT_ALLOWED,
            crate::observe::Reason::BadRequest,
            "CONNECT and TRACE are not served",
        );
        return Err(Refused { close: parts.method == Method::CONNECT, ..refused });
    }
    cdn_loop.check(&parts.headers)?;
    let authority = authority(parts)?;
    let wants_upgrade = parts.version == Version::HTTP_11 && asks_for_upgrade(&parts.headers);
    if wants_upgrade && parts.headers.get_all(header::UPGRADE).iter().any(names_h2c) {
        return Err(Refused::bad("the upgrade to h2c is not served: use TLS for HTTP/2"));
    }
    Ok(Admitted { authority, wants_upgrade })
}

/// The one host of a request: from the target if it names one, else from `Host`. Both must agree.
fn authority(parts: &Parts) -> Result<Authority, Refused> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refused::bad("more than one Host"));
    }
    let host =
        host.map(|value| Authority::try_from(value.as_bytes()).map_err(|_| Refused::bad("not a valid Host")));
    let host = host.transpose()?;
    let authority = match (parts.uri.authority(), host) {
        (Some(target), Some(host)) if !same_host(target, &host) => {
            return Err(Refused::bad("the target and Host name different hosts"));
        }
        (Some(target), _) => target.clone(),
        (None, Some(host)) => host,
        (None, None) => return Err(Refused::bad("no Host")),
    };
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(Refused::bad("not a valid Host"));
    }
    Ok(authority)
}

fn same_host(a: &Authority, b: &Authority) -> bool {
    a.host().eq_ignore_ascii_case(b.host()) && a.port_u16() == b.port_u16()
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE) && super::headers::connection_names(headers, "upgrade")
}

fn names_h2c(value: &http::HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn admitted(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Result<String, &'static str> {
        let (parts, ()) = build(Request::builder()).body(()).unwrap().into_parts();
        admit(&parts, &CdnLoop::of("fra1"))
            .map(|admitted| admitted.authority.to_string())
            .map_err(|refused| refused.text)
    }

    #[test]
    fn exactly_one_host() {
        assert_eq!(admitted(|r| r.uri("/").header("host", "a.test:80")), Ok("a.test:80".to_owned()));
        assert_eq!(admitted(|r| r.uri("http://a.test/").header("host", "A.TEST")), Ok("a.test".to_owned()));
        assert_eq!(admitted(|r| r.uri("https://a.test/")), Ok("a.test".to_owned()));
        for (build, text) in [
            (vec![], "no Host"),
            (vec!["a.test", "b.test"], "more than one Host"),
            (vec!["a.test", "a.test"], "more than one Host"),
            (vec!["u@a.test"], "not a valid Host"),
            (vec!["a test"], "not a valid Host"),
            (vec![""], "not a valid Host"),
        ] {
            let refused = admitted(|r| build.iter().fold(r.uri("/"), |r, host| r.header("host", *host)));
            assert_eq!(refused, Err(text), "{build:?}");
        }
        let differ = admitted(|r| r.uri("http://a.test/").header("host", "b.test"));
        assert_eq!(differ, Err("the target and Host name different hosts"));
    }

    #[test]
    fn tunnels_and_h2c_are_refused() {
        for method in ["CONNECT", "TRACE"] {
            assert!(admitted(|r| r.method(method).uri("/").header("host", "a.test")).is_err(), "{method}");
        }
        let upgrade = |to: &str, connection: &str| {
            let (parts, ()) = Request::builder()
                .uri("/")
                .header("host", "a.test")
                .header("upgrade", to)
                .header("connection", connection)
                .body(())
                .unwrap()
                .into_parts();
            admit(&parts, &CdnLoop::of("fra1"))
                .map(|admitted| admitted.wants_upgrade)
                .map_err(|refused| refused.status.as_u16())
        };
        assert_eq!(upgrade("websocket", "keep-alive, Upgrade"), Ok(true));
        assert_eq!(upgrade("websocket", "keep-alive"), Ok(false));
        assert_eq!(upgrade("foo, H2C", "upgrade"), Err(400));
    }

    #[test]
    fn who_has_passed_here_is_refused() {
        let came = |way| admitted(|r| r.uri("/").header("host", "a.test").header("cdn-loop", way));
        assert_eq!(came("other, nearside; pop=ams1"), Ok("a.test".to_owned()));
        assert_eq!(came("nearside; pop=fra1, other"), Err("the request has passed here before"));
    }
}
