//! Browsers: what a page of somebody else's site may make them send, and what comes of it.
//!
//! A page can make its reader's browser call an address that only the reader can reach, such as loopback. Three things stand
//! against that. A browser says which page it acts for (`Origin`, or `Sec-Fetch-Site` where it leaves that out), and only listed
//! pages are served. A name that a stranger owns can be made to mean 127.0.0.1 (DNS rebinding), and then his page is at home here:
//! so `Host` must be an address, `localhost`, or a listed name. And nothing is changed by GET.

use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{Method, Uri};

use crate::reason::is_obeyed;

/// Methods that a listed page may use.
pub(crate) const CORS_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
/// Header fields that it may send.
pub(crate) const CORS_HEADERS: &str = "authorization, content-type, if-match, idempotency-key, last-event-id";
/// Header fields of answers that it may read.
pub(crate) const CORS_EXPOSED: &str = "etag, location, retry-after, www-authenticate";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What browsers are served.
#[derive(Clone, Debug, Default)]
pub struct Browsers {
    /// Pages that may call, as browsers write their origin: `https://ops.example`.
    pub origins: Vec<String>,
    /// Names that this listener is called by, beside addresses and `localhost`; in lower case.
    pub hosts: Vec<String>,
}

/// Why a request is refused before anybody asks who sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It says several hosts, or none.
    NoHost,
    /// It is meant for a name that is not ours.
    Host(String),
    /// It comes from a page that is not listed.
    Origin(String),
    /// It comes from another site's page, which the browser does not name.
    CrossSite(String),
}

impl Browsers {
    /// Whether a request may be looked at; the page that it comes from, if it comes from one that is listed.
    ///
    /// # Errors
    /// Why not.
    pub fn admit<'a>(&self, uri: &Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::NoHost) };
        let host = host.to_str().map_err(|_| Refusal::NoHost)?;
        // Written into the target, it counts before the field; a request that says two things is not to be trusted.
        for host in [Some(host), uri.authority().map(|authority| authority.as_str())].into_iter().flatten() {
            if !self.is_ours(host) {
                return Err(Refusal::Host(shown(host)));
            }
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let text = origin.to_str().unwrap_or("?");
            let is_listed = self.origins.iter().any(|listed| listed == text) && origins.next().is_none();
            return if is_listed { Ok(Some(text)) } else { Err(Refusal::Origin(shown(text))) };
        }
        // `same-site` too: to a browser, all ports of a host are one site.
        match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
            None | Some(b"none" | b"same-origin") => Ok(None),
            Some(site) => Err(Refusal::CrossSite(shown(&String::from_utf8_lossy(site)))),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = if let Some(rest) = host.strip_prefix('[') {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return is_port(port) && address.parse::<std::net::Ipv6Addr>().is_ok();
        } else {
            let (name, port) = host.find(':').map_or((host, ""), |at| host.split_at(at));
            if !is_port(port) {
                return false;
            }
            name.strip_suffix('.').unwrap_or(name)
        };
        name.parse::<std::net::Ipv4Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|listed| listed.eq_ignore_ascii_case(name))
    }
}

/// Whether that is nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Whether a browser only asks whether it may ask.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a stranger wrote, short enough for an answer and a log line.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !is_obeyed(*character)).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(fields: &[(&str, &str)]) -> Result<Option<String>, Refusal> {
        let browsers = Browsers {
            origins: vec!["https://ops.example".to_owned(), "http://localhost:3000".to_owned()],
            hosts: vec!["edge.example".to_owned()],
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        browsers.admit(&Uri::from_static("/v1/regions"), &headers).map(|page| page.map(str::to_owned))
    }

    #[test]
    fn hosts_are_addresses_localhost_and_listed_names() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9180",
            "10.1.2.3:1",
            "[::1]",
            "[::1]:9180",
            "localhost",
            "LocalHost:9180",
            "localhost.:1",
            "edge.example",
            "EDGE.example.:443",
        ] {
            assert_eq!(admit(&[("host", host)]), Ok(None), "{host}");
        }
        for host in [
            "evil.test",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "x.localhost",
            "edge.example.evil.test",
            "xedge.example",
            "[::1",
            "[evil.test]:80",
            "::1",
            "127.0.0.1:port",
            "127.0.0.1:80:80",
            "2130706433",
            "0x7f.1",
            "127.1",
            "",
            "edge.example..",
            "user@127.0.0.1",
        ] {
            assert!(matches!(admit(&[("host", host)]), Err(Refusal::Host(_))), "{host}");
        }
        assert_eq!(admit(&[]), Err(Refusal::NoHost));
        assert_eq!(admit(&[("host", "localhost"), ("host", "localhost")]), Err(Refusal::NoHost));
        let uri = Uri::from_static("http://evil.test/v1/regions");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost".parse().unwrap());
        assert_eq!(Browsers::default().admit(&uri, &headers), Err(Refusal::Host("evil.test".to_owned())));
    }

    #[test]
    fn pages_are_listed_or_refused() {
        let from = |origin| admit(&[("host", "localhost"), ("origin", origin)]);
        assert_eq!(from("https://ops.example"), Ok(Some("https://ops.example".to_owned())));
        assert_eq!(from("http://localhost:3000"), Ok(Some("http://localhost:3000".to_owned())));
        for origin in [
            "null",
            "",
            "https://evil.test",
            "http://ops.example",
            "https://ops.example:8443",
            "https://ops.example.evil.test",
            "https://OPS.example",
            "http://localhost:9180",
            "https://ops.example, https://evil.test",
        ] {
            assert_eq!(from(origin), Err(Refusal::Origin(origin.to_owned())));
        }
        let twice =
            [("host", "localhost"), ("origin", "https://ops.example"), ("origin", "https://evil.test")];
        assert!(admit(&twice).is_err());
        // A listed page counts even where the browser says that it is another site's.
        let listed =
            [("host", "localhost"), ("origin", "https://ops.example"), ("sec-fetch-site", "cross-site")];
        assert!(admit(&listed).is_ok());
    }

    #[test]
    fn without_an_origin_the_site_counts() {
        for (site, is_admitted) in
            [("none", true), ("same-origin", true), ("same-site", false), ("cross-site", false), ("x", false)]
        {
            let admitted = admit(&[("host", "localhost"), ("sec-fetch-site", site)]);
            assert_eq!(admitted.is_ok(), is_admitted, "{site}");
        }
    }
}
