//! Pages for people: values to HTML that works without a script, with one style sheet and one picture of its own.
//!
//! A page is a struct with a template; what is in it are the rows of the API, as the command line has them, too. The
//! templates escape whatever they are given, and [`link`] and [`chart`] make what has more structure than text.
//!
//! Knows: what people look at first, and in which words. Must not know: requests, how an answer was found, or what time
//! it is.

pub mod asked;
pub mod cards;
pub mod chart;
pub mod link;
pub mod lists;
pub mod moment;
pub mod person;
pub mod report;
pub mod words;

use askama::Template;

use self::link::{Href, Link};
use self::moment::{When, Zone};
use crate::access::Role;
use crate::server::http::api::rfc3339;
use crate::session::Timestamp;

/// The style sheet.
pub const STYLE: &str = include_str!("assets/page.css");
/// The picture in a browser's tab.
pub const ICON: &str = include_str!("assets/icon.svg");
/// What stands where there is nothing to say.
pub const NOTHING: &str = "\u{2014}";

/// A place in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The box that takes anything.
    LookUp,
    /// Who sends most.
    Top,
    /// What NASes tell.
    Feeds,
    /// What somebody should look at.
    Cases,
    /// Who may not send.
    Suspensions,
    /// Who asked what.
    Questions,
    /// What is reached from one of the others.
    Elsewhere,
}

impl Place {
    const ALL: [(Place, &'static str, &'static str); 6] = [
        (Place::LookUp, "/", "Look-up"),
        (Place::Top, "/top", "Top"),
        (Place::Feeds, "/feeds", "Feeds"),
        (Place::Cases, "/cases", "Cases"),
        (Place::Suspensions, "/suspensions", "Suspensions"),
        (Place::Questions, "/questions", "Questions"),
    ];
}

/// What is around every page: who looks at it, when, and in which zone.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where we are.
    pub here: Place,
    /// Who looks.
    pub asker: String,
    /// What they may do.
    pub role: Role,
    /// What their forms carry; empty: they did not come with a browser's session.
    pub csrf: String,
    /// In which zone times are told.
    pub zone: Zone,
    /// When the page was made.
    pub now: Timestamp,
    /// Why they ask; links go on with it.
    pub purpose: Option<String>,
    /// Whether they have to say.
    pub purpose_required: bool,
    /// From when on rows may be missing, as files of the past are lost; `None`: none is.
    pub lost: Option<Timestamp>,
}

/// An entry of the navigation.
struct Entry {
    href: Href,
    text: &'static str,
    here: bool,
}

impl Frame {
    /// Whether whoever looks may give orders.
    #[must_use]
    pub fn orders(&self) -> bool {
        self.role >= Role::Operator
    }

    fn zone_name(&self) -> String {
        self.zone.name(self.now)
    }

    fn made(&self) -> Option<String> {
        rfc3339(self.now)
    }

    /// From when on rows may be missing; `None`: nobody knows.
    fn lost_from(&self) -> Option<String> {
        rfc3339(self.lost?)
    }

    fn entries(&self) -> Vec<Entry> {
        let may = |place: &Place| *place != Place::Questions || self.role >= Role::Auditor;
        let entry = |(place, path, text): (Place, &'static str, &'static str)| Entry {
            href: self.href(path, &[]),
            text,
            here: place == self.here,
        };
        Place::ALL.into_iter().filter(|(place, ..)| may(place)).map(entry).collect()
    }

    /// A moment, in the site's zone and in UTC.
    #[must_use]
    pub fn at(&self, text: Option<&str>) -> When {
        self.zone.when(text)
    }

    /// Where a path with these parameters leads; empty ones are left out, and the purpose goes along.
    #[must_use]
    pub fn href(&self, path: &str, parameters: &[(&str, &str)]) -> Href {
        let purpose = self.purpose.as_deref().unwrap_or_default();
        Href::new(path, parameters.iter().copied().chain([("purpose", purpose)]))
    }

    /// A subscriber, and the page about them.
    #[must_use]
    pub fn subscriber(&self, name: Option<&str>) -> Link {
        match name {
            Some(name) => Link::new(self.href(&link::subscriber(name), &[]), name),
            None => Link::nowhere(NOTHING),
        }
    }

    /// An address, and whose it was at that moment.
    #[must_use]
    pub fn address(&self, address: Option<&str>, port: Option<u16>, at: Option<&str>) -> Link {
        let Some(address) = address else { return Link::nowhere(NOTHING) };
        let text = match port {
            Some(port) if address.contains(':') => format!("[{address}]:{port}"),
            Some(port) => format!("{address}:{port}"),
            None => address.to_owned(),
        };
        Link::new(self.href("/", &[("q", &text), ("at", at.unwrap_or_default())]), &text)
    }
}

/// Where a browser shows its token.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// What went wrong before; empty: nothing.
    pub remark: &'a str,
    /// Where to go then; empty: to the first page.
    pub next: &'a str,
}

/// Why there is no answer.
#[derive(Debug, Template)]
#[template(path = "trouble.html")]
pub struct Trouble<'a> {
    /// The same for all of its kind.
    pub title: &'a str,
    /// What is wrong this time.
    pub detail: &'a str,
    /// Which field it is about.
    pub parameter: Option<&'a str>,
    /// The HTTP status.
    pub status: u16,
    /// The question, to be asked again with its purpose: its path and parameters. `None`: that is not what is missing.
    pub again: Option<(&'a str, Vec<(String, String)>)>,
}

#[cfg(test)]
mod tests;
