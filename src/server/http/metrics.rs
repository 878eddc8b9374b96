//! Metrics as `OpenMetrics` text, from plain numbers that are read when somebody asks.
//!
//! Knows: the text format, through prometheus-client's encoder. Must not know: what is counted, or where.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Every name begins so.
const PREFIX: &str = "relaywarden";

/// One answer to a scrape, while it is being put together.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<&'static str, Family>,
}

/// All samples of one name. The format wants them side by side, in whatever order they were handed in.
#[derive(Debug)]
struct Family {
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, Sample)>,
}

#[derive(Debug, Clone, Copy)]
enum Sample {
    Counter(u64),
    Gauge(i64),
}

impl Exposition {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A number that only grows. The name is without prefix and without `_total`; the format adds both.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: u64,
    ) {
        self.add(name, help, labels, Sample::Counter(value));
    }

    /// A number that goes up and down. The name is without prefix.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: i64,
    ) {
        self.add(name, help, labels, Sample::Gauge(value));
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        sample: Sample,
    ) {
        let labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let family = self.families.entry(name).or_insert_with(|| Family { help, samples: Vec::new() });
        family.samples.push((labels, sample));
    }

    /// The whole text, with its end mark.
    #[must_use]
    pub fn finish(self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a String can't fail; if the encoder refuses all the same, a scraper sees the missing end mark.
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) | Err(fmt::Error) => text,
        }
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, family) in &self.families {
            let kind = match family.samples.first() {
                Some((_, Sample::Counter(_))) => MetricType::Counter,
                _ => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(name, family.help, None, kind)?;
            for (labels, sample) in &family.samples {
                match (labels.is_empty(), sample) {
                    // Without labels the encoder would write a pair of empty braces.
                    (true, Sample::Counter(value)) => {
                        metric.encode_counter::<NoLabelSet, u64, u64>(value, None)?;
                    }
                    (true, Sample::Gauge(value)) => metric.encode_gauge(value)?,
                    (false, Sample::Counter(value)) => {
                        ConstCounter::new(*value).encode(metric.encode_family(labels)?)?;
                    }
                    (false, Sample::Gauge(value)) => {
                        ConstGauge::new(*value).encode(metric.encode_family(labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_together_whatever_their_order() {
        let mut exposition = Exposition::new();
        exposition.counter("records", "Accounting records taken.", &[("kind", "start")], 3);
        exposition.gauge("sessions", "Live sessions.", &[], -1);
        exposition.counter("records", "Accounting records taken.", &[("kind", "stop")], u64::MAX);
        assert_eq!(
            exposition.finish(),
            "# HELP relaywarden_records Accounting records taken.\n\
             # TYPE relaywarden_records counter\n\
             relaywarden_records_total{kind=\"start\"} 3\n\
             relaywarden_records_total{kind=\"stop\"} 18446744073709551615\n\
             # HELP relaywarden_sessions Live sessions.\n\
             # TYPE relaywarden_sessions gauge\n\
             relaywarden_sessions -1\n\
             # EOF\n"
        );
    }

    #[test]
    fn a_label_value_cannot_break_out_of_its_quotes() {
        let mut exposition = Exposition::new();
        exposition.gauge("nas", "Seen.", &[("nas", "a\"} 1\nforged{x=\"\\")], 1);
        assert!(exposition.finish().contains("relaywarden_nas{nas=\"a\\\"} 1\\nforged{x=\\\"\\\\\"} 1\n"));
    }

    #[test]
    fn nothing_at_all_is_a_valid_text() {
        assert_eq!(Exposition::new().finish(), "# EOF\n");
    }
}
