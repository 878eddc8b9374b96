//! Block lists as Debian's NSD answers for them: who is listed is told once, and no list that is dead, closed, barred or broken
//! accuses anybody.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::common::daemon::{Daemon, text};
    use crate::common::eventually;
    use crate::common::lists::{cases, first_round, of, round, state, watching};
    use crate::common::nsd::{Nsd, present};

    const OURS: &str = "192.0.2.25";
    const OTHER: &str = "192.0.2.26";
    const OURS_V6: &str = "2001:db8::25";

    /// Has what every list must have.
    const SANE: &str = "2.0.0.127 IN A 127.0.0.2\n2.0.0.127 IN TXT \"for tests\"\n";
    const SANE_V6: &str = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 IN A 127.0.0.2\n";
    const LISTED: &str = "25.2.0.192 IN A 127.0.0.4\n25.2.0.192 IN A 127.0.0.2\n25.2.0.192 IN TXT \"see https://zen.example\"\n";
    const LISTED_V6: &str =
        "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 IN A 127.0.0.10\n";

    fn metrics(daemon: &Daemon) -> String {
        daemon.http("/metrics").expect("the daemon answers").1
    }

    fn assert_counted(daemon: &Daemon, line: &str) {
        let metrics = metrics(daemon);
        assert!(
            metrics.lines().any(|counted| counted == format!("relaywarden_dnsbl_{line}")),
            "{line}\n{metrics}"
        );
    }

    #[test]
    fn a_listing_is_confirmed_told_once_outlives_a_restart_and_ends_with_the_list() {
        if !present() {
            return;
        }
        let listed = format!("{SANE}{SANE_V6}{LISTED}{LISTED_V6}");
        let mut nsd = Nsd::start(&[("zen.example", &listed)]);
        let wanted = watching(
            &format!("[\"{OURS}\", \"{OTHER}\", \"{OURS_V6}\"]"),
            "[{ zone = \"zen.example\", name = \"zen\", ipv6 = true }]",
            nsd.address,
        );
        let mut daemon = Daemon::start_with(&wanted);
        let rows = first_round(&daemon);
        assert_eq!(state(&rows, OURS, "zen"), ("unknown".to_owned(), "sane".to_owned()));
        assert_eq!(of(&rows, OURS, "zen", "doubted"), true, "one answer is none");
        assert_eq!(state(&rows, OTHER, "zen").0, "clean");
        assert!(cases(&daemon).is_empty());

        let rows = round(&daemon);
        for address in [OURS, OURS_V6] {
            assert_eq!(state(&rows, address, "zen").0, "listed", "{address}");
        }
        assert_eq!(*of(&rows, OURS, "zen", "answers"), json!(["127.0.0.2", "127.0.0.4"]));
        assert_eq!(*of(&rows, OURS, "zen", "text"), json!("see https://zen.example"));
        assert_eq!(state(&rows, OTHER, "zen").0, "clean");
        let opened = cases(&daemon);
        let kinds: Vec<_> = opened.iter().map(|case| (case["kind"].clone(), case["state"].clone())).collect();
        assert_eq!(kinds, vec![(json!("listing"), json!("open")); 2], "{opened:#?}");
        let case = |rows: &[serde_json::Value], address| of(rows, address, "zen", "case").as_u64();
        let known = (case(&rows, OURS), case(&rows, OURS_V6));
        assert!(known.0.is_some() && known.1.is_some() && known.0 != known.1, "{rows:#?}");
        assert_counted(&daemon, "listed{list=\"zen\"} 2");
        let table = text(&daemon.cli(&["reputation"]).stdout);
        assert!(table.contains("zen says of 192.0.2.25: see https://zen.example"), "{table}");

        // It is no news in the next rounds, nor after a restart.
        round(&daemon);
        daemon.restart();
        let rows = first_round(&daemon);
        assert_eq!(state(&rows, OURS, "zen").0, "listed");
        let rows = round(&daemon);
        assert_eq!((case(&rows, OURS), case(&rows, OURS_V6)), known);
        let still = cases(&daemon);
        assert!(still.len() == 2 && still.iter().all(|case| case["evidence_count"] == 1), "{still:#?}");

        // One answer frees nobody, two do.
        nsd.change("zen.example", &format!("{SANE}{SANE_V6}{LISTED_V6}"));
        let rows = eventually("the list to be asked again", || {
            let rows = round(&daemon);
            (of(&rows, OURS, "zen", "doubted") == true).then_some(rows)
        });
        assert_eq!(state(&rows, OURS, "zen").0, "listed");
        let rows = round(&daemon);
        assert_eq!(state(&rows, OURS, "zen").0, "clean");
        assert_eq!(state(&rows, OURS_V6, "zen").0, "listed");
        assert_counted(&daemon, "listed{list=\"zen\"} 1");
        assert_counted(&daemon, "changes_total{list=\"zen\",change=\"delisted\"} 1");
        assert!(
            daemon.log_text().contains("one of our addresses is listed no longer"),
            "{}",
            daemon.log_text()
        );
    }

    #[test]
    fn lists_that_are_dead_barred_empty_or_broken_accuse_and_free_nobody() {
        if !present() {
            return;
        }
        let everything = "* IN A 127.0.0.2\n";
        let mut nsd = Nsd::start(&[
            ("zen.example", &format!("{SANE}{LISTED}")),
            ("coded.example", "* IN A 127.255.255.254\n"),
            ("parked.example", "* IN A 203.0.113.1\n* IN TXT \"this domain is for sale\"\n"),
            ("everything.example", everything),
            ("hidden.example", "* IN A 127.0.0.1\n"),
            ("empty.example", "www IN A 203.0.113.1\n"),
            ("broken.example", ""),
        ]);
        let expected = [
            ("coded.example", "barred"),
            ("parked.example", "foreign"),
            ("everything.example", "lists-everything"),
            ("hidden.example", "barred"),
            ("empty.example", "empty"),
            ("broken.example", "server-failure"),
            // Nobody here knows of it.
            ("elsewhere.example", "refused"),
        ];
        let named = expected.map(|(zone, _)| format!("{{ zone = \"{zone}\" }}")).join(", ");
        let sample = "sample = [{ prefix = \"192.0.2.24/30\", count = 4 }]";
        let lists = format!("[{{ zone = \"zen.example\" }}, {named}]\n{sample}");
        let daemon = Daemon::start_with(&watching(&format!("[\"{OURS}\"]"), &lists, nsd.address));
        first_round(&daemon);
        for _ in 0..2 {
            let rows = round(&daemon);
            assert_eq!(state(&rows, OURS, "zen.example"), ("listed".to_owned(), "sane".to_owned()));
            for (list, sanity) in expected {
                assert_eq!(state(&rows, OURS, list), ("unknown".to_owned(), sanity.to_owned()), "{list}");
            }
        }
        assert_eq!(cases(&daemon).len(), 1, "of the one that is sane");
        // Three rounds; we are among those customers ourselves.
        for (answer, count) in [("listed", 3), ("clean", 9)] {
            let labels = format!("list=\"zen.example\",prefix=\"192.0.2.24/30\",answer=\"{answer}\"");
            assert_counted(&daemon, &format!("sampled_total{{{labels}}} {count}"));
        }
        assert!(
            !metrics(&daemon).contains("sampled_total{list=\"everything"),
            "nobody is counted by a list that is not sane"
        );
        assert_counted(&daemon, "insane{list=\"coded.example\"} 1");
        assert_counted(&daemon, "insane{list=\"zen.example\"} 0");
        let said = metrics(&daemon);
        let failures =
            said.lines().find(|line| line.starts_with("relaywarden_dnsbl_failures_total{list=\"broken"));
        assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{said}");
        let table = text(&daemon.cli(&["reputation"]).stdout);
        assert!(
            table.contains("coded.example: it answered 127.255.255.254: it answers no public resolvers"),
            "{table}"
        );

        // The one that was sane closes, and lists the world; then it has nothing at all. What it had said stands.
        for (records, sanity) in [(everything, "lists-everything"), ("www IN A 203.0.113.1\n", "empty")] {
            nsd.change("zen.example", records);
            for _ in 0..2 {
                let rows = eventually("the list to be asked again", || {
                    let rows = round(&daemon);
                    (state(&rows, OURS, "zen.example").1 == sanity).then_some(rows)
                });
                assert_eq!(state(&rows, OURS, "zen.example").0, "listed", "{sanity}");
            }
        }
        assert_eq!(cases(&daemon).len(), 1);
    }
}
