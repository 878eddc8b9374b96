//! From where on a measure is a signal, as an operator writes it, and each mistake that can be made with it.

use std::time::Duration;

use relaywarden::relay::trend::{Measure, Threshold, Thresholds};

use super::{config, mistake};

#[test]
fn each_measure_has_a_threshold_that_may_be_another() {
    let trend = config(
        "[trend]\nsignals = false\nlearn = '28d'\nstrangers = { floor = 6 }\nhelo = { factor = '1.5x' }\n",
    )
    .trend;
    assert!(!trend.signals && trend.learn == Duration::from_secs(28 * 86_400));
    let of = |wanted: Measure| {
        let (_, threshold) = trend.iter().find(|(measure, _)| *measure == wanted).unwrap();
        (threshold.floor, threshold.tenths)
    };
    let default = |measure| (Threshold::default_of(measure).floor, Threshold::default_of(measure).tenths);
    assert_eq!(of(Measure::Strangers), (6, default(Measure::Strangers).1));
    assert_eq!(of(Measure::Helo), (default(Measure::Helo).0, 15));
    assert_eq!(of(Measure::Messages), default(Measure::Messages));
    assert_eq!(config("").trend, Thresholds::default());
}

#[test]
fn each_mistake_about_a_threshold_is_named() {
    for (written, expected) in [
        (
            "messages = { floor = 0 }",
            "2:22: trend.messages.floor: is out of range; write a number from 1 to 1000000000",
        ),
        (
            "hours = { factor = '0.9x' }",
            "2:20: trend.hours.factor: is out of range; write something from \"1x\" to \"100x\"",
        ),
        (
            "strangers = { factor = '3' }",
            "2:24: trend.strangers.factor: '3' is no factor; write a number and x, such as \"4x\" or \"1.5x\"",
        ),
        (
            "learn = 'a week'",
            "2:9: trend.learn: 'a week' is no time; write a number and s, m, h or d, such as \"10m\"",
        ),
    ] {
        assert_eq!(mistake(&format!("[trend]\n{written}\n")), expected);
    }
    assert!(mistake("[trend]\nbounces = { floor = 1 }\n").contains("unknown field `bounces`"));
}
