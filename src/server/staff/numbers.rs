//! What is counted, as metrics.
//!
//! Knows: whose counters there are, and what they are called. Must not know: what is counted, or how it is sent.

use super::{StaffDesk, reputation};
use crate::clock;
use crate::server::feed_health;
use crate::server::http::metrics::Exposition;

impl StaffDesk {
    pub(super) fn exposition(&self) -> Exposition {
        let mut out = Exposition::new();
        let read =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        for (what, count) in self.counters.radius.readings() {
            out.counter("radius_datagrams", "What became of RADIUS datagrams", &[("outcome", what)], count);
        }
        self.expose_details(&mut out);
        self.expose_answers(&mut out);
        let (mta, engine, desk) = (&self.counters.mta, &self.counters.engine, &self.counters.desk);
        let connections = [
            ("accepted", &mta.accepted),
            ("foreign", &mta.foreign),
            ("over-limit", &mta.over_limit),
            ("broken", &mta.broken),
            ("dribbled", &mta.dribbled),
            ("unread", &mta.unread),
            ("idle", &mta.idle),
        ];
        for (what, count) in connections {
            out.counter(
                "mta_connections",
                "What became of MTA connections",
                &[("outcome", what)],
                read(count),
            );
        }
        let open = i64::try_from(read(&mta.open)).unwrap_or(i64::MAX);
        out.gauge("mta_connections_open", "MTA connections open now", &[], open);
        let busy = i64::try_from(read(&mta.busy)).unwrap_or(i64::MAX);
        out.gauge("mta_connections_busy", "MTA connections that ask without a pause now", &[], busy);
        let gate = &self.counters.gate;
        for (outcome, count) in gate.read() {
            out.counter(
                "http_logins",
                "What became of tokens that were shown",
                &[("outcome", outcome)],
                count,
            );
        }
        let refused = [("role", &gate.refused), ("host", &gate.wrong_host), ("cross-site", &gate.cross_site)];
        for (why, count) in refused {
            out.counter("http_refused", "Requests that were refused", &[("reason", why)], read(count));
        }
        for (outcome, count) in self.counters.rules.read() {
            out.counter("rule_actions", "What rules did to cases", &[("outcome", outcome)], count);
        }
        self.expose_coa(&mut out);
        for (fate, count) in self.imported.read() {
            let labels = [("outcome", fate.word())];
            out.counter("imported_rows", "What became of rows of imported files", &labels, count);
        }
        for (outcome, count) in self.attempts.read() {
            let help = "Attempts that were refused or deferred, by how they are kept";
            out.counter("attempts", help, &[("kept", outcome)], count);
        }
        self.expose_scanned(&mut out);
        out.counter("inbound_messages", "Inbound mail that is no subscriber's", &[], read(&desk.inbound));
        out.counter("unrecorded_messages", "Messages not recorded in time", &[], read(&desk.unrecorded));
        out.counter("log_batches", "Group commits", &[], read(&engine.batches));
        out.counter("log_entries", "Entries made durable", &[], read(&engine.entries));
        out.counter("log_failures", "Commits that storage refused", &[], read(&engine.failures));
        out.counter("refreshes", "Refreshes acknowledged", &[], read(&engine.refreshes));
        out.counter("message_repeats", "Messages asked about again", &[], read(&engine.repeats));
        out.counter("alarms", "Alarms raised", &[], read(&engine.alarms));
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        out.gauge("inbox_waiting", "Inputs waiting for the engine", &[], gauge(self.inbox.len()));
        out.gauge("ready", "Whether lookups are true", &[], i64::from(self.health.is_ready()));
        out.gauge(
            "storage_failing",
            "Whether the log refuses",
            &[],
            i64::from(self.health.is_storage_failing()),
        );
        let behind = self.shared.committed().saturating_sub(self.reached.sequence());
        out.gauge("index_behind", "Entries not indexed yet", &[], i64::try_from(behind).unwrap_or(i64::MAX));
        let config = self.config.load();
        feed_health::expose(&mut out, &self.shared.map, &self.radius, &config, clock::now());
        reputation::expose(&mut out, &self.reputation.listings());
        self.notices.expose(&mut out, clock::now());
        out
    }

    fn expose_scanned(&self, out: &mut Exposition) {
        for ((finding, by, fate), count) in self.scanning.read() {
            let labels = [("verdict", finding.word()), ("by", by.word()), ("outcome", fate.word())];
            out.counter("scanned", "What scanners found, and what became of it", &labels, count);
        }
        let open = i64::try_from(self.seats.open()).unwrap_or(i64::MAX);
        out.gauge("smtp_sessions", "SMTP sessions that are open, as milter clients tell", &[], open);
        let named = &self.scanning.named;
        for (outcome, count) in [("recorded", &named.recorded), ("unrecorded", &named.unrecorded)] {
            let help = "Message-IDs of messages that were written down, and what became of them";
            out.counter(
                "message_ids",
                help,
                &[("outcome", outcome)],
                count.load(std::sync::atomic::Ordering::Relaxed),
            );
        }
    }

    fn expose_answers(&self, out: &mut Exposition) {
        for (reason, socketmap, policy) in self.counters.desk.read() {
            for (protocol, count) in [("socketmap", socketmap), ("policy", policy)] {
                let labels =
                    [("protocol", protocol), ("verdict", reason.verdict().word()), ("reason", reason.word())];
                out.counter("verdicts", "Answers to mail servers", &labels, count);
            }
        }
        let senders = i64::try_from(self.shared.usages.senders()).unwrap_or(i64::MAX);
        out.gauge(
            "senders",
            "Subscribers and logins that sent something in the last three days",
            &[],
            senders,
        );
        for (limit, measure, enforced, count) in self.scales.exceedances() {
            let (limit, mode) = (limit.to_string(), if enforced { "enforce" } else { "observe" });
            let labels = [("limit", limit.as_str()), ("measure", measure), ("mode", mode)];
            out.counter(
                "limit_exceeded",
                "Recipients and messages that a limit did not let go",
                &labels,
                count,
            );
        }
    }

    fn expose_coa(&self, out: &mut Exposition) {
        for ((nas, kind, outcome), count) in self.counters.coa.read() {
            let nas = nas.to_string();
            let labels = [("nas", nas.as_str()), ("kind", kind), ("outcome", outcome)];
            out.counter("coa", "What NASes were asked about lines, and what came of it", &labels, count);
        }
        for (why, count) in self.counters.coa.read_ignored() {
            out.counter("coa_ignored", "Datagrams that were no answers of a NAS", &[("reason", why)], count);
        }
    }

    fn expose_details(&self, out: &mut Exposition) {
        use std::sync::atomic::Ordering::Relaxed;
        let now = clock::now();
        for counters in self.details.counters() {
            let directory = ("directory", counters.directory.as_str());
            for (what, count) in counters.outcomes() {
                let labels = [directory, ("outcome", what)];
                out.counter("detail_records", "What became of the records of detail files", &labels, count);
            }
            let lines =
                [("unknown", &counters.unknown_attributes), ("unreadable", &counters.unreadable_lines)];
            for (why, count) in lines {
                let labels = [directory, ("reason", why)];
                out.counter(
                    "detail_lines",
                    "Lines of detail files that were left out",
                    &labels,
                    count.load(Relaxed),
                );
            }
            let files = [("begun-anew", &counters.begun_anew), ("removed", &counters.removed)];
            for (what, count) in files {
                let labels = [directory, ("outcome", what)];
                out.counter("detail_files", "What became of detail files", &labels, count.load(Relaxed));
            }
            let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            let labels = [directory];
            let bytes = gauge(counters.bytes_behind.load(Relaxed));
            out.gauge("detail_bytes_behind", "Octets of detail files that are not durable", &labels, bytes);
            let seconds = gauge(counters.behind(now).as_secs());
            let help = "Age of the oldest record of a detail file that is not durable";
            out.gauge("detail_seconds_behind", help, &labels, seconds);
            let unreadable = gauge(counters.unreadable_files.load(Relaxed));
            out.gauge("detail_files_unreadable", "Detail files that cannot be read", &labels, unreadable);
        }
    }
}
