//! What of a head goes on: hop-by-hop fields stop here, forwarding fields are ours.
//!
//! A field that speaks of one connection means nothing on the next (RFC 9110, 7.6.1), whether it is known by name or named
//! in `Connection`. Fields that tell an origin who the client is are believed by origins, so a client must not be able to
//! write them: they are set here, and extended only where a trusted hop wrote them.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Version, request};

use super::cdn_loop::{CDN_LOOP, CdnLoop};
use crate::tls;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const OWN_PREFIX: &str = "x-nearside-";
const X_NEARSIDE_POP: HeaderName = HeaderName::from_static("x-nearside-pop");
pub(crate) const X_NEARSIDE_REGION: HeaderName = HeaderName::from_static("x-nearside-region");
pub(crate) const X_NEARSIDE_ATTEMPT: HeaderName = HeaderName::from_static("x-nearside-attempt");

/// Fields that a request is given here.
const ADDED_FIELDS: usize = 12;

/// The longest request id that is taken over from a trusted hop.
const MAX_ID_BYTES: usize = 128;

/// What an origin is told of the connection that a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarding<'a> {
    /// The address of who is connected to us.
    pub(crate) peer: &'a HeaderValue,
    /// Whether that is a trusted hop.
    pub(crate) trusted: bool,
    /// Whether the connection is encrypted.
    pub(crate) is_tls: bool,
    /// The host as the client named it.
    pub(crate) authority: &'a Authority,
    /// The port we listen on.
    pub(crate) port: &'a HeaderValue,
    /// The name of this PoP.
    pub(crate) pop: &'a HeaderValue,
    /// What this PoP adds to a request's way.
    pub(crate) cdn_loop: &'a CdnLoop,
}

/// Makes the head of a request fit for an origin, in place: as HTTP/1.1 wants it, from which HTTP/2 takes away. `new_id` gives an id to a request without one.
pub(crate) fn to_origin(
    parts: &mut request::Parts,
    forwarding: &Forwarding<'_>,
    wants_upgrade: bool,
    new_id: impl FnOnce() -> HeaderValue,
) {
    let trailers_welcome = parts.headers.get_all(header::TE).iter().any(|value| names(value, "trailers"));
    let upgrade = parts.headers.get(header::UPGRADE).cloned().filter(|_| wants_upgrade);
    let version = parts.version;
    let headers = &mut parts.headers;
    strip(headers);
    headers.remove(header::PROXY_AUTHORIZATION);
    // Said to the origin anew where it can be (see `forward::gate`).
    headers.remove(header::EXPECT);
    // What is added below and by an attempt; growing once is enough.
    headers.reserve(ADDED_FIELDS);
    tls::pass_on(headers, parts.extensions.get());
    if let Some(upgrade) = upgrade {
        headers.insert(header::UPGRADE, upgrade);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else if trailers_welcome {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    let host = match headers.get(header::HOST) {
        Some(host) if parts.uri.authority().is_none() => host.clone(),
        _ => {
            let host = HeaderValue::from_str(forwarding.authority.as_str());
            let host = host.expect("an authority has only visible characters");
            headers.insert(header::HOST, host.clone());
            host
        }
    };
    set_forwarding(headers, forwarding, &host);
    if !(forwarding.trusted && headers.get(X_REQUEST_ID).is_some_and(is_sound_id)) {
        headers.insert(X_REQUEST_ID, new_id());
    }
    headers.append(header::VIA, via(version));
    forwarding.cdn_loop.append(headers);
    join_cookies(headers);
    headers.insert(X_NEARSIDE_POP, forwarding.pop.clone());
    // Of the first attempt; later ones say their own.
    headers.insert(X_NEARSIDE_ATTEMPT, HeaderValue::from_static("1"));
    // Said by each attempt, in the room that this keeps.
    headers.insert(X_NEARSIDE_REGION, HeaderValue::from_static(""));
    parts.uri = parts.uri.path_and_query().cloned().map_or_else(http::Uri::default, http::Uri::from);
    parts.version = Version::HTTP_11;
}

/// Whether the client waits to be told before it sends its body.
pub(crate) fn expects_continue(parts: &request::Parts) -> bool {
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    parts.version == Version::HTTP_11 && parts.headers.get(header::EXPECT).is_some_and(expects)
}

/// The id of a request whose head was made fit.
pub(crate) fn request_id(headers: &HeaderMap) -> &str {
    headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// Makes the head of an answer fit for a client, in place.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip(headers);
}

/// Takes fields out of trailers that would change how a message is framed or routed (RFC 9110, 6.5.1), and our own.
pub(crate) fn filter_trailers(mut trailers: HeaderMap) -> HeaderMap {
    const BANNED: [HeaderName; 9] = [
        header::CONTENT_LENGTH,
        header::HOST,
        header::TRAILER,
        header::CONTENT_ENCODING,
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
        header::AUTHORIZATION,
        header::SET_COOKIE,
        header::EXPECT,
    ];
    for name in &BANNED {
        trailers.remove(name);
    }
    strip(&mut trailers);
    trailers
}

/// Whether `Connection` names a field or option.
pub(super) fn connection_names(headers: &HeaderMap, token: &str) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| names(value, token))
}

fn names(value: &HeaderValue, token: &str) -> bool {
    tokens(value).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| matches!(byte, b',' | b';')).map(<[u8]>::trim_ascii)
}

/// Takes out what speaks of one connection, and our own fields. One look at each name; most messages have nothing to take.
fn strip(headers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| ends_here(name.as_str())).cloned().collect();
    if doomed.contains(&header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(tokens)
            .filter_map(|token| HeaderName::from_bytes(token).ok())
            // A client must not make us drop what a request needs to be understood, or what ends its loops.
            .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH) && *name != CDN_LOOP)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in doomed {
        headers.remove(name);
    }
}

/// Whether a field, by its name in lower case, ends with the connection it came over, or is our own.
fn ends_here(name: &str) -> bool {
    match name {
        "connection" | "http2-settings" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding"
        | "upgrade" => true,
        other => other.starts_with(OWN_PREFIX),
    }
}

fn set_forwarding(headers: &mut HeaderMap, forwarding: &Forwarding<'_>, host: &HeaderValue) {
    if forwarding.trusted && headers.contains_key(X_FORWARDED_FOR) {
        let before = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
        let chain: Vec<&[u8]> = before.chain([forwarding.peer.as_bytes()]).collect();
        if let Ok(chain) = HeaderValue::from_bytes(&chain.join(&b", "[..])) {
            headers.insert(X_FORWARDED_FOR, chain);
        }
    } else {
        headers.insert(X_FORWARDED_FOR, forwarding.peer.clone());
    }
    if !forwarding.trusted {
        headers.remove(FORWARDED);
        // Many origins believe it; who sends it gets his own address.
        if headers.contains_key(X_REAL_IP) {
            headers.insert(X_REAL_IP, forwarding.peer.clone());
        }
    }
    let keeps = |headers: &HeaderMap, name: &HeaderName| forwarding.trusted && headers.contains_key(name);
    if !keeps(headers, &X_FORWARDED_PROTO) {
        let proto = if forwarding.is_tls { "https" } else { "http" };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if !keeps(headers, &X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    if !keeps(headers, &X_FORWARDED_PORT) {
        headers.insert(X_FORWARDED_PORT, forwarding.port.clone());
    }
}

fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 nearside",
        Version::HTTP_10 => "1.0 nearside",
        _ => "1.1 nearside",
    })
}

/// HTTP/2 clients may split cookies; HTTP/1.1 knows one field (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies = headers.get_all(header::COOKIE);
    if cookies.iter().nth(1).is_some() {
        let joined: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&joined.join(&b"; "[..])) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

fn is_sound_id(id: &HeaderValue) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn forwarded(trusted: bool, version: Version, fields: &[(&str, &str)]) -> (http::Uri, HeaderMap) {
        let mut request = Request::builder().uri("http://www.example.com/a?b=c").version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let authority: Authority = "www.example.com".parse().unwrap();
        let forwarding = Forwarding {
            peer: &HeaderValue::from_static("198.51.100.7"),
            trusted,
            is_tls: true,
            authority: &authority,
            port: &HeaderValue::from_static("8443"),
            pop: &HeaderValue::from_static("fra1"),
            cdn_loop: &CdnLoop::of("fra1"),
        };
        let wants_upgrade = fields.iter().any(|(name, _)| *name == "upgrade");
        to_origin(&mut parts, &forwarding, wants_upgrade, || HeaderValue::from_static("new-id"));
        (parts.uri, parts.headers)
    }

    fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn what_speaks_of_one_connection_stops_here() {
        let (uri, headers) = forwarded(
            false,
            Version::HTTP_11,
            &[
                ("connection", "keep-alive, X-Private, Host, Content-Length, CDN-Loop"),
                ("cdn-loop", "other; a=b"),
                ("cdn-loop", "another"),
                ("keep-alive", "timeout=5"),
                ("x-private", "1"),
                ("content-length", "0"),
                ("te", "gzip"),
                ("proxy-authorization", "Basic x"),
                ("expect", "100-continue"),
                ("accept", "*/*"),
            ],
        );
        assert_eq!(uri, "/a?b=c");
        for gone in ["connection", "keep-alive", "x-private", "te", "proxy-authorization", "expect"] {
            assert_eq!(get(&headers, gone), None, "{gone}");
        }
        assert_eq!(get(&headers, "content-length"), Some("0"));
        assert_eq!(get(&headers, "accept"), Some("*/*"));
        assert_eq!(get(&headers, "host"), Some("www.example.com"));
        assert_eq!(get(&headers, "via"), Some("1.1 nearside"));
        assert_eq!(get(&headers, "cdn-loop"), Some("other; a=b, another, nearside; pop=\"fra1\""));
    }

    #[test]
    fn a_stranger_cannot_say_who_he_is() {
        let fields = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "ftp"),
            ("x-forwarded-host", "evil.test"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-request-id", "forged"),
            ("x-nearside-region", "mars"),
            ("x-nearside-replay", "x"),
        ];
        let (_, headers) = forwarded(false, Version::HTTP_11, &fields);
        assert_eq!(get(&headers, "x-forwarded-for"), Some("198.51.100.7"));
        assert_eq!(get(&headers, "x-real-ip"), Some("198.51.100.7"));
        assert_eq!(get(&headers, "x-forwarded-proto"), Some("https"));
        assert_eq!(get(&headers, "x-forwarded-host"), Some("www.example.com"));
        assert_eq!(get(&headers, "x-forwarded-port"), Some("8443"));
        assert_eq!(get(&headers, "x-request-id"), Some("new-id"));
        assert_eq!(get(&headers, "forwarded"), None);
        let own = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-nearside-"));
        let own: Vec<_> = own.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let ours = [("x-nearside-pop", "fra1"), ("x-nearside-attempt", "1"), ("x-nearside-region", "")];
        assert_eq!(own, ours, "and room for the region of an attempt");

        let (_, headers) = forwarded(true, Version::HTTP_11, &fields);
        assert_eq!(get(&headers, "x-forwarded-for"), Some("6.6.6.6, 198.51.100.7"));
        assert_eq!(get(&headers, "x-forwarded-proto"), Some("ftp"));
        assert_eq!(get(&headers, "x-request-id"), Some("forged"));
        assert_eq!(get(&headers, "x-nearside-region"), Some(""), "not even a trusted hop speaks for us");
        assert_eq!(get(&headers, "x-nearside-replay"), None);
    }

    #[test]
    fn upgrades_and_trailers_are_asked_for_anew() {
        let (_, headers) =
            forwarded(false, Version::HTTP_11, &[("connection", "Upgrade, foo"), ("upgrade", "websocket")]);
        assert_eq!(
            (get(&headers, "connection"), get(&headers, "upgrade")),
            (Some("upgrade"), Some("websocket"))
        );
        let (_, headers) = forwarded(false, Version::HTTP_2, &[("te", "trailers")]);
        assert_eq!((get(&headers, "connection"), get(&headers, "te")), (Some("te"), Some("trailers")));
    }

    #[test]
    fn split_cookies_are_joined() {
        let (_, headers) = forwarded(false, Version::HTTP_2, &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(get(&headers, "cookie"), Some("a=1; b=2"));
        assert_eq!(get(&headers, "via"), Some("2 nearside"));
    }

    #[test]
    fn trailers_cannot_change_the_framing() {
        let mut trailers = HeaderMap::new();
        for name in
            ["content-length", "transfer-encoding", "host", "x-nearside-load", "grpc-status", "x-checksum"]
        {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        let left = filter_trailers(trailers);
        let mut names: Vec<&str> = left.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-status", "x-checksum"]);
    }
}
