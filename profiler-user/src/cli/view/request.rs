//! A request of a browser: its head, read with limits, and what is answered. Everything in it is foreign.

use super::contents::{Resource, Site};

/// Bytes of a head, at most: browsers send less than a thousand.
pub(super) const MOST_BYTES: usize = 16 << 10;
/// Lines of a head.
const MOST_HEADERS: usize = 100;

/// What a head asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    method: String,
    path: String,
    /// `None` if it is missing, or there are two.
    host: Option<String>,
}

/// What came of reading a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// There is more to come.
    Partial,
    /// All of it.
    Whole(Request),
    /// Something else than a request.
    Wrong,
}

impl Head {
    /// Reads what has come so far.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) if bytes.len() < MOST_BYTES => Self::Partial,
            Ok(httparse::Status::Complete(_)) => {
                let (Some(method), Some(path)) = (request.method, request.path) else {
                    return Self::Wrong;
                };
                let mut hosts = request
                    .headers
                    .iter()
                    .filter(|header| header.name.eq_ignore_ascii_case("host"));
                let host = match (hosts.next(), hosts.next()) {
                    (Some(host), None) => std::str::from_utf8(host.value).ok().map(str::to_owned),
                    _ => None,
                };
                Self::Whole(Request {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    host,
                })
            }
            _ => Self::Wrong,
        }
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer<'s> {
    /// What was asked for; without its bytes if only its head was.
    Found {
        /// It.
        resource: &'s Resource,
        /// Whether the bytes are wanted.
        with_bytes: bool,
    },
    /// Another token, or nothing of that name.
    NotFound,
    /// Another name of this host: a page of somebody else's, whose name leads here.
    OtherHost,
    /// Something else than to read.
    NotAllowed,
    /// Not HTTP.
    Wrong,
}

impl<'s> Answer<'s> {
    /// To this request, for the server at `port` whose addresses begin with `token`.
    pub(super) fn to(request: &Request, site: &'s Site, port: u16, token: &str) -> Self {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let host = request.host.as_deref().unwrap_or_default();
        if !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Self::OtherHost;
        }
        let path = request.path.split('?').next().unwrap_or_default();
        let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let resource = parts
            .filter(|(given, _)| is_same(given, token))
            .and_then(|(_, name)| site.resources.get(name));
        match (resource, request.method.as_str()) {
            (None, _) => Self::NotFound,
            (Some(resource), method @ ("GET" | "HEAD")) => Self::Found {
                resource,
                with_bytes: method == "GET",
            },
            (Some(_), _) => Self::NotAllowed,
        }
    }

    /// The head of the answer, and what follows it.
    pub(super) fn written(self, site: &'s Site) -> (String, &'s [u8]) {
        let (status, kind, bytes): (_, _, &[u8]) = match self {
            Self::Found { resource, .. } => ("200 OK", resource.kind, &resource.bytes),
            Self::NotFound => ("404 Not Found", PLAIN, b"Nothing is here.\n"),
            Self::OtherHost => ("421 Misdirected Request", PLAIN, b"Not under this name.\n"),
            Self::NotAllowed => ("405 Method Not Allowed", PLAIN, b"It can only be read.\n"),
            Self::Wrong => ("400 Bad Request", PLAIN, b"This is no request.\n"),
        };
        let policy = match self {
            Self::Found { .. } => site.policy.as_str(),
            _ => "default-src 'none'; frame-ancestors 'none'",
        };
        let allow = if self == Self::NotAllowed {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: {policy}\r\n{allow}\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n\r\n",
            bytes.len()
        );
        let is_wanted = !matches!(
            self,
            Self::Found {
                with_bytes: false,
                ..
            }
        );
        (head, if is_wanted { bytes } else { &[] })
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Whether two texts are the same, in a time that does not say where they differ.
fn is_same(given: &str, token: &str) -> bool {
    let differences = given
        .bytes()
        .zip(token.bytes())
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::super::contents::Site;
    use super::{Answer, Head, MOST_BYTES, Request};

    const TOKEN: &str = "0123456789abcdef";

    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes())
    }

    fn answered(text: &str) -> String {
        let site = Site::of_page(b"PAGE".to_vec());
        let Head::Whole(request) = head(text) else {
            return "no request".to_owned();
        };
        let (head, bytes) = Answer::to(&request, &site, 80, TOKEN).written(&site);
        let status = head.split("\r\n").next().unwrap_or_default();
        format!("{status} {}", String::from_utf8_lossy(bytes).trim_end())
    }

    #[test]
    fn the_page_is_there_for_whoever_has_the_token_under_the_name_of_this_host() {
        for host in ["127.0.0.1:80", "localhost:80", "LOCALHOST:80"] {
            for path in ["/0123456789abcdef/", "/0123456789abcdef/?again"] {
                let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: a=b\r\n\r\n");
                assert_eq!(answered(&text), "HTTP/1.1 200 OK PAGE", "{text}");
            }
        }
        let text = "HEAD /0123456789abcdef/ HTTP/1.1\r\nHost: localhost:80\r\n\r\n";
        assert_eq!(answered(text), "HTTP/1.1 200 OK ");
    }

    #[test]
    fn nobody_else_learns_anything() {
        for path in [
            "/",
            "/0123456789abcdef",
            "/0123456789abcdee/",
            "/0123456789abcdef0/",
            "/0123456789abcdef/index.html",
            "/0123456789abcdef/../0123456789abcdef/",
            "//0123456789abcdef/",
            "http://127.0.0.1:80/0123456789abcdef/",
            "*",
        ] {
            let text = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n");
            assert_eq!(
                answered(&text),
                "HTTP/1.1 404 Not Found Nothing is here.",
                "{path}"
            );
        }
        for host in [
            "",
            "Host: 127.0.0.1\r\n",
            "Host: 127.0.0.1:81\r\n",
            "Host: evil.example:80\r\n",
            "Host: 127.0.0.1:80\r\nHost: evil.example\r\n",
            "Host: \u{e4}:80\r\n",
        ] {
            let text = format!("GET /0123456789abcdef/ HTTP/1.1\r\n{host}\r\n");
            assert!(answered(&text).starts_with("HTTP/1.1 421 "), "{host}");
        }
        let text = "POST /0123456789abcdef/ HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n";
        assert!(answered(text).starts_with("HTTP/1.1 405 "));
    }

    #[test]
    fn heads_come_in_parts_and_have_an_end() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(head(&text[..end]), Head::Partial, "{end}");
        }
        let request = Request {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: Some("a".to_owned()),
        };
        assert_eq!(head(text), Head::Whole(request));
        let long = format!("GET /{}", "a".repeat(MOST_BYTES));
        assert_eq!(head(&long), Head::Wrong);
        assert_eq!(head("\u{16}\u{3}\u{1} not HTTP\r\n\r\n"), Head::Wrong);
        let many = "A: b\r\n".repeat(101);
        assert_eq!(head(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Head::Wrong);
    }

    #[test]
    fn every_answer_says_what_a_browser_may_do_with_it() {
        let site = Site::of_page(b"PAGE".to_vec());
        let resource = &site.resources[""];
        let found = Answer::Found {
            resource,
            with_bytes: true,
        };
        for answer in [found, Answer::NotFound, Answer::OtherHost, Answer::Wrong] {
            let (head, _) = answer.written(&site);
            for line in [
                "Content-Security-Policy: default-src 'none'",
                "frame-ancestors 'none'",
                "nosniff",
                "no-referrer",
                "no-store",
            ] {
                assert!(head.contains(line), "{line}: {head}");
            }
            assert!(head.ends_with("\r\n\r\n"));
        }
        assert!(site.policy.contains("script-src 'sha256-"), "{}", site.policy);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_answered_and_only_the_address_leads_to_the_page(
            bytes in any::<Vec<u8>>(), method in "[A-Z]{1,9}", path in "[ -~]{0,40}", host in "[ -~]{0,20}",
        ) {
            let site = Site::of_page(b"PAGE".to_vec());
            let text = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            for bytes in [&*bytes, text.as_bytes()] {
                if let Head::Whole(request) = Head::parse(bytes) {
                    let (_, answer) = Answer::to(&request, &site, 80, TOKEN).written(&site);
                    prop_assert!(answer != b"PAGE");
                }
            }
        }
    }
}
