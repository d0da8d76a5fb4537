//! Lines that route files themselves write to the log.

use tracing::Level;

/// Writes one line; `text` is what the file says, or the body it asks for.
pub(crate) fn write(level: Level, name: &str, route: &str, exchange: &str, text: &str, headers: &str) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(name, route, exchange, headers, text, "route log")
        };
    }
    match level {
        Level::TRACE => line!(trace),
        Level::DEBUG => line!(debug),
        Level::INFO => line!(info),
        Level::WARN => line!(warn),
        Level::ERROR => line!(error),
    }
}
