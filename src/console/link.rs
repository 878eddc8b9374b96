//! Links within the pages and to the API: paths and parameters, encoded.
//!
//! Knows: what has to be encoded in a URL. Must not know: what is behind one.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986, 2.3: what never has to be encoded.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a query may hold as well (RFC 3986, 3.4), for the eye of whoever reads one in a ticket.
const KEPT_IN_QUERY: &AsciiSet = &KEPT.remove(b'@').remove(b':').remove(b'/').remove(b',');
/// What a part of a path may hold as well (RFC 3986, 3.3).
const KEPT_IN_PATH: &AsciiSet = &KEPT.remove(b'@').remove(b':').remove(b',');

/// Where a link leads: a path of ours with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Href(String);

impl Href {
    /// A path with parameters; those without a value are left out.
    #[must_use]
    pub fn new<'a>(path: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = path.to_owned();
        let mut mark = '?';
        for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
            text.push(mark);
            text.push_str(name);
            text.push('=');
            text.extend(utf8_percent_encode(value, KEPT_IN_QUERY));
            mark = '&';
        }
        Href(text)
    }

    /// As text, not escaped for HTML.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Href {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a subscriber's page.
#[must_use]
pub fn subscriber(name: &str) -> String {
    // Browsers take these two for steps in the path, however they are encoded (WHATWG URL, 4.1); in hex they are a name.
    let name = match name {
        "." => "0x2e",
        ".." => "0x2e2e",
        name => name,
    };
    format!("/subscriber/{}", utf8_percent_encode(name, KEPT_IN_PATH))
}

/// A link with its text, kept apart from the direction of the text around it.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = "{% if let Some(href) = href %}<a href=\"{{ href }}\"><bdi>{{ text }}</bdi></a>{% else %}<bdi>{{ text }}</bdi>{% endif %}",
    ext = "html"
)]
pub struct Link {
    href: Option<Href>,
    text: String,
}

/// Its template has escaped it.
impl HtmlSafe for Link {}

impl Link {
    /// A link.
    #[must_use]
    pub fn new(href: Href, text: &str) -> Self {
        Link { href: Some(href), text: text.to_owned() }
    }

    /// Text only.
    #[must_use]
    pub fn nowhere(text: &str) -> Self {
        Link { href: None, text: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_in_a_url_is_encoded_and_what_reads_well_is_not() {
        let href = Href::new("/top", [("by", "a&b=c"), ("left", ""), ("q", "#?<\u{202e}%/a@b:c")]);
        assert_eq!(href.text(), "/top?by=a%26b%3Dc&q=%23%3F%3C%E2%80%AE%25/a@b:c");
        assert_eq!(subscriber("a/../b?c#d"), "/subscriber/a%2F..%2Fb%3Fc%23d");
        assert_eq!(subscriber("alice@isp.example"), "/subscriber/alice@isp.example");
    }

    #[test]
    fn a_name_that_is_a_step_in_a_path_goes_as_hex() {
        assert_eq!(subscriber("."), "/subscriber/0x2e");
        assert_eq!(subscriber(".."), "/subscriber/0x2e2e");
        assert_eq!(subscriber("..."), "/subscriber/...");
    }

    #[test]
    fn the_text_of_a_link_can_not_end_it() {
        let link = Link::new(Href::new("/", [("q", "\"><script>")]), "</a><script>alert(1)</script>");
        let html = link.to_string();
        assert!(!html.contains("<script>") && html.contains("q=%22%3E%3Cscript%3E"), "{html}");
    }
}
