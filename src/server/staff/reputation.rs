//! What is known of block lists, in the words of the API and of the metrics.
//!
//! Knows: how they are spelled. Must not know: how lists are asked.

use std::net::IpAddr;
use std::sync::Arc;

use crate::relay::case::{Case, Evidence, State as CaseState};
use crate::server::http::api::rfc3339;
use crate::server::http::metrics::Exposition;
use crate::server::http::reputation::ReputationRow;
use crate::session::Name;
use crate::watch::dnsbl::{Family, Sanity};
use crate::watch::listings::{Listings, State};

/// A row for each address on each list, what is listed first.
pub(super) fn rows(listings: &Listings, cases: &[Arc<Case>]) -> Vec<ReputationRow> {
    let mut rows = Vec::new();
    for (name, list) in listings.lists() {
        for (address, watched) in &list.watched {
            let sanity = list.sanity.get(&Family::of(*address)).copied();
            let unsane = sanity.filter(|sanity| !sanity.is_sane());
            let unanswered = watched.failure.map(Sanity::Unanswered);
            let row = ReputationRow {
                address: address.to_string(),
                list: name.to_string(),
                state: watched.state.word().to_owned(),
                since: watched.since.and_then(rfc3339),
                doubted: watched.doubted,
                asked: watched.asked.and_then(rfc3339),
                answers: watched.answers.iter().map(ToString::to_string).collect(),
                text: watched.text.as_ref().map(Name::to_string),
                sanity: sanity.map_or("unproven", Sanity::word).to_owned(),
                why: unsane.or(unanswered).map(|sanity| sanity.to_string()),
                case: open_case(cases, name, *address),
            };
            rows.push((watched.state != State::Listed, *address, row));
        }
    }
    rows.sort_by(|(one, address, _), (other, another, _)| (one, address).cmp(&(other, another)));
    rows.into_iter().map(|(_, _, row)| row).collect()
}

fn open_case(cases: &[Arc<Case>], list: &Name, address: IpAddr) -> Option<u64> {
    let is_about = |evidence: &Evidence| match evidence {
        Evidence::Listing(listing) => listing.list == *list && listing.address == address,
        Evidence::Complaint(_) | Evidence::Signal(_) => false,
    };
    let open = cases.iter().filter(|case| case.state == CaseState::Open);
    open.filter(|case| case.evidence.iter().any(is_about)).map(|case| case.id).max()
}

/// What is counted of each list.
pub(super) fn expose(out: &mut Exposition, listings: &Listings) {
    for (name, list) in listings.lists() {
        let name = name.to_string();
        let labels = [("list", name.as_str())];
        let listed = i64::try_from(list.listed()).unwrap_or(i64::MAX);
        out.gauge("dnsbl_listed", "Our own addresses that a block list has", &labels, listed);
        let help = "Whether a block list did not prove itself when it was asked last";
        out.gauge("dnsbl_insane", help, &labels, i64::from(list.is_insane()));
        let counts = list.counts;
        out.counter("dnsbl_queries", "Questions to block lists", &labels, counts.queries);
        let help = "Questions to block lists that came to nothing";
        out.counter("dnsbl_failures", help, &labels, counts.failures);
        for (change, count) in [("listed", counts.listed), ("delisted", counts.delisted)] {
            let labels = [("list", name.as_str()), ("change", change)];
            let help = "How often one of our own addresses came on a block list, or left it";
            out.counter("dnsbl_changes", help, &labels, count);
        }
        for (prefix, sampled) in &list.sampled {
            let prefix = prefix.to_string();
            for (answer, count) in [("listed", sampled.listed), ("clean", sampled.clean)] {
                let labels = [("list", name.as_str()), ("prefix", prefix.as_str()), ("answer", answer)];
                let help = "What a block list said of addresses of customers that were sampled";
                out.counter("dnsbl_sampled", help, &labels, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{BlockList, Dnsbl};
    use crate::relay::case::Cases;
    use crate::session::Timestamp;
    use crate::watch::dnsbl::{Answer, Failure};
    use crate::watch::listings::{Look, Sampled};

    const AT: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn listings() -> Listings {
        let list =
            |name: &str| BlockList { name: Name::from(name), zone: format!("{name}.example"), ipv6: false };
        let mut listings = Listings::default();
        let dnsbl = Dnsbl {
            addresses: ["192.0.2.25", "192.0.2.26"].map(|text| text.parse().unwrap()).to_vec(),
            lists: vec![list("zen"), list("bl")],
            every: Duration::from_secs(900),
            sample: Vec::new(),
            resolvers: Vec::new(),
            timeout: Duration::from_secs(5),
        };
        listings.watch(&dnsbl, &Listings::default());
        let answers = || {
            vec![
                ("192.0.2.25".parse().unwrap(), Answer::Unanswered(Failure::Timeout), None),
                ("192.0.2.26".parse().unwrap(), Answer::of(&["127.0.0.4".parse().unwrap()]), None),
            ]
        };
        for _ in 0..2 {
            let sanity = vec![(Family::Ipv4, Sanity::Sane)];
            let list = Name::from("zen");
            let sampled = vec![("198.51.100.0/24".parse().unwrap(), Sampled { listed: 2, clean: 6 })];
            listings.look(AT, Look { list, sanity, answers: answers(), sampled, queries: 4, failures: 1 });
        }
        let sanity = vec![(Family::Ipv4, Sanity::Everything)];
        let list = Name::from("bl");
        let (answers, sampled) = (Vec::new(), Vec::new());
        listings.look(AT, Look { list, sanity, answers, sampled, queries: 2, failures: 0 });
        listings
    }

    #[test]
    fn what_is_listed_comes_first_with_its_open_case_and_what_is_unknown_says_why() {
        let listings = listings();
        let mut cases = Cases::default();
        cases.listing(7, &listings.untold()[0]);
        let cases: Vec<_> = cases.newest_first().cloned().collect();
        let rows = rows(&listings, &cases);
        let told: Vec<_> =
            rows.iter().map(|row| (row.address.as_str(), row.list.as_str(), row.state.as_str())).collect();
        assert_eq!(
            told,
            [
                ("192.0.2.26", "zen", "listed"),
                ("192.0.2.25", "bl", "unknown"),
                ("192.0.2.25", "zen", "unknown"),
                ("192.0.2.26", "bl", "unknown"),
            ]
        );
        assert_eq!(
            (rows[0].case, &rows[0].answers, &rows[0].why),
            (Some(7), &vec!["127.0.0.4".to_owned()], &None)
        );
        assert_eq!((rows[1].sanity.as_str(), rows[1].case), ("lists-everything", None));
        assert!(rows[1].why.as_ref().unwrap().contains("it lists everything"));
        assert_eq!(rows[2].why.as_deref(), Some("nothing was answered in time"));
    }

    #[test]
    fn lists_are_counted_apart() {
        let mut out = Exposition::new();
        expose(&mut out, &listings());
        let text = out.finish();
        for line in [
            "relaywarden_dnsbl_listed{list=\"zen\"} 1",
            "relaywarden_dnsbl_listed{list=\"bl\"} 0",
            "relaywarden_dnsbl_insane{list=\"bl\"} 1",
            "relaywarden_dnsbl_insane{list=\"zen\"} 0",
            "relaywarden_dnsbl_queries_total{list=\"zen\"} 8",
            "relaywarden_dnsbl_failures_total{list=\"zen\"} 2",
            "relaywarden_dnsbl_changes_total{list=\"zen\",change=\"listed\"} 1",
            "relaywarden_dnsbl_changes_total{list=\"zen\",change=\"delisted\"} 0",
            "relaywarden_dnsbl_sampled_total{list=\"zen\",prefix=\"198.51.100.0/24\",answer=\"listed\"} 4",
            "relaywarden_dnsbl_sampled_total{list=\"zen\",prefix=\"198.51.100.0/24\",answer=\"clean\"} 12",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
