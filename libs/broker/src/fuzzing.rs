//! What a fuzzer drives: each decoder of bytes from outside, and the connection loop, as a function of bytes.
//!
//! `libs/broker/fuzz` has a target for each of [`TARGETS`]; the tests here drive the same functions over a corpus that
//! is made the same way each time, so that every run of the tests covers them. A function fails by panicking.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::groups::offsets::subscription_topics;
use crate::groups::records::{Committed, Key, Snapshot};
use crate::log::batch::{Header, check_produced};
use crate::log::point::Point;
use crate::log::walk::{Step, Walker};
use crate::log::{checkpoint, clean, control, records, transactions};
use crate::server::api;
use crate::txns;
use crate::wire::frame::{FrameLimits, read_frame};
use crate::wire::header::{peek, take_head};
use crate::{Broker, Config};

/// Largest frame that the fuzzed reader takes.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Steps after which a walk over so many bytes is no walk any more.
const STEPS_MAX: usize = 100_000;

/// What is driven with bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets`.
pub const TARGETS: &[(&str, Target)] = &[
    ("frame", frame),
    ("request", request),
    ("batch", batch),
    ("segment", segment),
    ("state", state),
    ("recovery", recovery),
    ("connection", connection),
];

/// The frame reader: whatever comes, memory goes back to the budget.
pub fn frame(data: &[u8]) {
    let memory = Arc::new(Semaphore::new(FRAME_BYTES_MAX));
    let limits = FrameLimits {
        bytes_max: FRAME_BYTES_MAX,
        idle: Duration::from_secs(5),
        whole: Duration::from_secs(5),
        memory: Arc::clone(&memory),
    };
    runtime().block_on(async {
        let mut from = data;
        while let Ok(frame) = read_frame(&mut from, &limits).await {
            assert!(frame.body.len() <= data.len(), "no byte is made up");
        }
    });
    assert_eq!(memory.available_permits(), FRAME_BYTES_MAX, "all memory is given back");
}

/// A request as a connection takes it apart: key and version, header, shape, body.
pub fn request(data: &[u8]) {
    let mut body = Bytes::copy_from_slice(data);
    let Ok((key, version, _)) = peek(&body) else { return };
    let Some(api) = ApiKey::try_from(key).ok().and_then(api::find) else { return };
    if !api.versions.contains(&version) {
        return;
    }
    if take_head(&mut body, api.key, version).is_ok() && api.shape.check(version, &body).is_ok() {
        let _ = RequestKind::decode(api.key, &mut body, version);
    }
}

/// A produced batch: the check, and what is looked at behind it.
pub fn batch(data: &[u8]) {
    if let Some(header) = Header::parse(data) {
        let _ = header.is_plausible();
        let _ = control::marker_of(data, &header);
        let _ = records::parse(data, &header);
        let _ = clean::has_keys(data, &header);
        let _ = clean::times(data, &header);
    }
    if let Ok(header) = check_produced(data) {
        assert_eq!(header.total_bytes(), data.len() as u64, "exactly one batch");
    }
}

/// A segment file: the walk over it ends, and gives back only what is there.
pub fn segment(data: &[u8]) {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(data).expect("a temporary file can be written");
    let length = data.len() as u64;
    for verify in [false, true] {
        let mut walker = Walker::new(&file, 0, 0, length, verify);
        let mut at = 0;
        for step in 0.. {
            assert!(step < STEPS_MAX, "the walk ends");
            match walker.step().expect("a temporary file can be read") {
                Step::Batch { position, header } => {
                    assert!(position >= at && position + header.total_bytes() <= length, "within the file, onwards");
                    // Unchecked, a length may have led astray, and the walk goes back to the batch that had it.
                    at = if verify { position + header.total_bytes() } else { 0 };
                }
                Step::Damaged { resumes: Some((position, _)), .. } => {
                    assert!(position > at || at == 0, "it goes on behind the damage");
                    at = if verify { position } else { 0 };
                }
                Step::Damaged { resumes: None, .. } | Step::End => break,
            }
        }
    }
}

/// Records of `__consumer_offsets` and `__transaction_state`, and what members send as their subscription.
pub fn state(data: &[u8]) {
    if let Some(key) = Key::decode(data) {
        assert_eq!(Key::decode(&key.encode()), Some(key), "a key is written as it was read");
    }
    if let Some(committed) = Committed::decode(data) {
        assert_eq!(Committed::decode(&committed.encode()), Some(committed), "a commit too");
    }
    if let Some(snapshot) = Snapshot::decode(data) {
        assert_eq!(Snapshot::decode(&snapshot.encode()), Some(snapshot), "and a group");
    }
    let _ = txns::records::decode_key(data);
    let _ = txns::records::decode_value(data);
    let _ = subscription_topics(data);
}

/// What recovery reads besides segments, behind a checksum that holds.
pub fn recovery(data: &[u8]) {
    let mut sealed = data.to_vec();
    sealed.extend(crc32c::crc32c(data).to_be_bytes());
    for bytes in [data, &sealed] {
        let _ = checkpoint::decode(bytes);
        let _ = Point::decode(bytes);
        let _ = transactions::decode(bytes);
    }
}

/// A connection that sends these bytes and then no more: the broker ends it and goes on serving others.
pub fn connection(data: &[u8]) {
    let broker = served();
    let mut stream = TcpStream::connect(broker.address()).expect("the broker goes on listening");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    // The broker may have ended it already.
    let _ = stream.write_all(data);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection ends");
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("a runtime can be made")
    })
}

/// One broker for all inputs, small enough that none of them can fill the machine.
fn served() -> &'static Broker {
    static BROKER: OnceLock<(Broker, tempfile::TempDir)> = OnceLock::new();
    let (broker, _) = BROKER.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: dir.path().to_owned(),
            partitions_max: 100,
            groups_max: 100,
            transactional_ids_max: 100,
            fetch_sessions_max: 100,
            frame_bytes_max: FRAME_BYTES_MAX,
            frame_timeout_ms: 1_000,
            ..Config::default()
        };
        let broker = runtime().block_on(Broker::start(config)).expect("the broker starts");
        (broker, dir)
    });
    broker
}

#[cfg(test)]
mod tests;
