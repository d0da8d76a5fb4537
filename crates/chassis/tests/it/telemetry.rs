//! Setting up logs and metrics.

use chassis::telemetry::{LogConfig, LogFormat};
use chassis::{Error, Telemetry};

fn config(filter: &str) -> LogConfig {
    LogConfig { format: LogFormat::Json, filter: filter.to_owned() }
}

#[test]
fn second_set_up_in_a_process_keeps_the_first() {
    let first = Telemetry::init(&config("warn")).unwrap();
    metrics::counter!("telemetry_test_total").increment(3);
    let second = Telemetry::init(&config("warn")).unwrap();
    for telemetry in [first, second] {
        let text = telemetry.render();
        assert!(text.contains("telemetry_test_total 3"), "{text}");
    }
}

#[test]
fn filter_that_cannot_be_read_is_refused() {
    let error = Telemetry::init(&config("user_service=loud")).unwrap_err();
    assert!(matches!(error, Error::LogFilter { .. }));
    assert!(error.to_string().contains("user_service=loud"), "{error}");
}
