//! Who may speak to the server: pages of its own, on the addresses that it was asked to serve, and with a token where
//! other machines can reach it.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// What other sites must not do with a page of ours, and what it may load.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The rules of a server.
#[derive(Debug, Clone)]
pub struct Guard {
    port: u16,
    /// Names that requests may call this server.
    hosts: Vec<String>,
    /// Whether it may also be called by any IP address: it listens on all of them.
    any_address: bool,
    token: Option<String>,
}

impl Guard {
    /// For a server at `bound`; without a token only on loopback.
    pub fn new(bound: SocketAddr, token: Option<String>) -> Self {
        let port = bound.port();
        let mut hosts = vec!["localhost".into(), "127.0.0.1".into(), "[::1]".into()];
        hosts.push(authority(bound.ip()));
        Self {
            port,
            hosts,
            any_address: bound.ip().is_unspecified(),
            token,
        }
    }

    /// The name of the token's cookie. Cookies do not know ports, so that two servers need two names.
    fn cookie(&self) -> String {
        format!("costate_{}", self.port)
    }

    /// Whether `authority`, a host with its port, means this server. A site that points its own name at this machine is
    /// told apart by that name.
    fn ours(&self, authority: &str) -> bool {
        let suffix = format!(":{}", self.port);
        let host = match authority.strip_suffix(&suffix) {
            Some(host) => host,
            None if self.port == 80 => authority,
            None => return false,
        };
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        self.hosts.iter().any(|h| h.eq_ignore_ascii_case(host))
            || self.any_address && literal.parse::<IpAddr>().is_ok()
    }

    /// Errors: why a request is refused.
    fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), (StatusCode, String)> {
        let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or_default());
        let forbidden = |what: String| Err((StatusCode::FORBIDDEN, what));
        let host = text(header::HOST)
            .or_else(|| uri.authority().map(|a| a.as_str()))
            .unwrap_or_default();
        if !self.ours(host) {
            return forbidden(format!(
                "this server is not `{}`; open the address that it printed",
                host.escape_debug()
            ));
        }
        if let Some(origin) = text(header::ORIGIN)
            && !origin.strip_prefix("http://").is_some_and(|o| self.ours(o))
        {
            return forbidden("pages of other sites may not use this server".into());
        }
        if text(header::HeaderName::from_static("sec-fetch-site")) == Some("cross-site")
            && !navigates(method, headers)
        {
            return forbidden("pages of other sites may not use this server".into());
        }
        if let Some(token) = &self.token
            && !self.shown(headers).iter().any(|shown| same(shown, token))
        {
            let how = "open the address with its token, which `costate view` printed".into();
            return Err((StatusCode::UNAUTHORIZED, how));
        }
        Ok(())
    }

    /// Tokens that a request carries.
    fn shown(&self, headers: &HeaderMap) -> Vec<String> {
        let values = |name| {
            headers
                .get_all(name)
                .into_iter()
                .filter_map(|v| v.to_str().ok())
        };
        let cookie = self.cookie();
        let cookies = values(header::COOKIE).flat_map(|line| line.split(';'));
        let cookies = cookies.filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == cookie).then(|| value.to_owned())
        });
        let bearers = values(header::AUTHORIZATION);
        let bearers = bearers.filter_map(|v| v.strip_prefix("Bearer ").map(str::to_owned));
        cookies.chain(bearers).collect()
    }

    /// The answer to `/?token=…`: the token moves from the address into a cookie, out of history and links.
    fn welcome(&self, uri: &Uri) -> Option<Response> {
        let token = self.token.as_ref()?;
        let query = uri.query()?;
        let shown = query.split('&').find_map(|p| p.strip_prefix("token="))?;
        if uri.path() != "/" || !same(shown, token) {
            return None;
        }
        let cookie = format!(
            "{}={token}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie()
        );
        let moved = [(header::SET_COOKIE, cookie), (header::LOCATION, "/".into())];
        Some((StatusCode::SEE_OTHER, moved).into_response())
    }
}

/// For the fuzz target of the guard: whether a server on all addresses, which asks for `token`, admits a request: a line with its
/// method and address, then a line for each header.
#[cfg(fuzzing)]
pub fn admits(request: &str, token: &str) -> bool {
    let mut lines = request.lines();
    let (method, uri) = lines
        .next()
        .and_then(|l| l.split_once(' '))
        .unwrap_or_default();
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), uri.parse::<Uri>()) else {
        return false;
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (
            name.trim().parse::<header::HeaderName>(),
            HeaderValue::from_str(value.trim()),
        ) {
            headers.append(name, value);
        }
    }
    let guard = Guard::new(SocketAddr::from(([0, 0, 0, 0], 80)), Some(token.into()));
    let welcomed = guard.welcome(&uri).is_some();
    guard.check(&method, &uri, &headers).is_ok() || welcomed
}

/// Whether somebody followed a link to the page itself.
fn navigates(method: &Method, headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode").and_then(|v| v.to_str().ok());
    method == Method::GET && mode == Some("navigate")
}

fn authority(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Compares digests, so that the time taken says nothing about the token.
fn same(shown: &str, token: &str) -> bool {
    Sha256::digest(shown.as_bytes()) == Sha256::digest(token.as_bytes())
}

/// Lets a request through, or refuses it; marks every answer with the page's policy.
pub async fn watch(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let checked = match guard.welcome(request.uri()) {
        Some(welcome) => Some(welcome),
        None => guard
            .check(request.method(), request.uri(), request.headers())
            .err()
            .map(|(status, why)| (status, Body::from(why + "\n")).into_response()),
    };
    let mut response = match checked {
        Some(response) => response,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, headers: &[(&'static str, &str)]) -> Result<(), StatusCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let uri = "/api/hello".parse().unwrap();
        guard
            .check(&Method::POST, &uri, &map)
            .map_err(|(status, _)| status)
    }

    #[test]
    fn only_its_own_pages_speak_to_it() {
        let guard = Guard::new("127.0.0.1:8123".parse().unwrap(), None);
        let own = ("host", "localhost:8123");
        assert_eq!(check(&guard, &[own]), Ok(()));
        assert_eq!(
            check(
                &guard,
                &[
                    ("host", "127.0.0.1:8123"),
                    ("origin", "http://localhost:8123")
                ]
            ),
            Ok(())
        );
        for refused in [
            vec![("host", "evil.example:8123")],
            vec![("host", "localhost:8124")],
            vec![("host", "localhost")],
            vec![("host", "192.168.0.7:8123")],
            vec![],
            vec![own, ("origin", "http://evil.example")],
            vec![own, ("origin", "http://localhost:9999")],
            vec![own, ("origin", "https://localhost:8123")],
            vec![own, ("origin", "null")],
            vec![own, ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(
                check(&guard, &refused),
                Err(StatusCode::FORBIDDEN),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn with_a_token_nobody_else_comes_in() {
        let guard = Guard::new("0.0.0.0:8123".parse().unwrap(), Some("abc".into()));
        let own = ("host", "192.168.0.7:8123");
        for shown in [
            vec![own],
            vec![own, ("cookie", "costate_8123=abd")],
            vec![own, ("cookie", "costate_9999=abc")],
            vec![own, ("authorization", "Bearer ")],
        ] {
            assert_eq!(
                check(&guard, &shown),
                Err(StatusCode::UNAUTHORIZED),
                "{shown:?}"
            );
        }
        assert_eq!(
            check(&guard, &[own, ("cookie", "a=1; costate_8123=abc")]),
            Ok(())
        );
        assert_eq!(
            check(&guard, &[own, ("authorization", "Bearer abc")]),
            Ok(())
        );
        // A site that points its name here is refused even with the cookie.
        let named = ("host", "evil.example:8123");
        assert_eq!(
            check(&guard, &[named, ("cookie", "costate_8123=abc")]),
            Err(StatusCode::FORBIDDEN)
        );
    }

    #[test]
    fn the_token_moves_from_the_address_into_a_cookie() {
        let guard = Guard::new("0.0.0.0:8123".parse().unwrap(), Some("abc".into()));
        let welcome = |uri: &str| guard.welcome(&uri.parse().unwrap());
        let answer = welcome("/?token=abc").unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("costate_8123=abc;") && cookie.contains("HttpOnly"));
        assert!(welcome("/?token=abd").is_none() && welcome("/").is_none());
    }
}
