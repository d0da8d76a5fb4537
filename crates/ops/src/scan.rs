//! Reading a topic from a point to its end, off the runtime, handing each record to a closure.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Next, Start};

use crate::error::{Error, Result};

/// How long a cluster may say nothing before reading is given up.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long one poll waits.
const POLL_MAX: Duration = Duration::from_millis(100);

/// Reads every partition of `topic` up to where it ends now, unless `each` breaks; answers what `each` gathered.
pub(crate) async fn scan<S: Send + 'static>(
    config: &KafkaConfig,
    topic: &str,
    start: Start,
    mut state: S,
    mut each: impl FnMut(&mut S, ConsumedRecord) -> ControlFlow<()> + Send + 'static,
) -> Result<S> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let read = move || {
        let reader = KafkaReader::open(&config, &topic, None, start)?;
        let mut heard = Instant::now();
        loop {
            match reader.next_or_end(POLL_MAX)? {
                Next::End => return Ok(state),
                Next::Record(record) => {
                    heard = Instant::now();
                    if each(&mut state, record).is_break() {
                        return Ok(state);
                    }
                }
                Next::Nothing if heard.elapsed() > SILENCE_MAX => {
                    let brokers = config.brokers.clone();
                    return Err(Error::Unreachable { brokers, source: eventkit::Error::Stopped });
                }
                Next::Nothing => {}
            }
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap_or(Err(Error::Stopped))
}
