//! What a fuzzer drives: each decoder of bytes from outside, and the connection loop, as a function of bytes.
//!
//! `libs/broker/fuzz` has a target for each of [`TARGETS`]; the tests here drive the same functions over a corpus that
//! is made the same way each time, so that every run of the tests covers them. A function fails by panicking.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use tokio::runtime::Runtime;

use crate::catalog::meta::Meta;
use crate::catalog::quotas::Row;
use crate::groups::consumers::{Consumers, kept};
use crate::groups::offsets::subscription_topics;
use crate::groups::records::{Committed, Key, Snapshot};
use crate::log::batch::{Header, check_produced};
use crate::log::index::{ENTRY_BYTES, Entry, Index, Summary, search};
use crate::log::point::Point;
use crate::log::walk::{Step, Walker};
use crate::log::{checkpoint, clean, control, records, transactions};
use crate::security::scram::{Credential, Exchange, First, Mechanism};
use crate::security::store::Saved;
use crate::security::{plain, subject};
use crate::server::api;
use crate::txns;
use crate::wire::frame::{FrameLimits, read_frame};
use crate::wire::header::{peek, take_head};
use crate::wire::memory::{Allowance, RequestMemory};
use crate::{Broker, Config, SecurityConfig, sealed as seals};

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
    ("login", login),
    ("certificate", certificate),
    ("index", index),
    ("sealed", sealed),
    ("connection", connection),
    ("login_connection", login_connection),
];

/// The frame reader: whatever comes, memory goes back to the budget.
pub fn frame(data: &[u8]) {
    let memory = RequestMemory::new(FRAME_BYTES_MAX);
    let allowance = Allowance::new(Arc::clone(&memory));
    let limits = FrameLimits {
        bytes_min: 0,
        bytes_max: FRAME_BYTES_MAX,
        idle: Duration::from_secs(5),
        whole: Duration::from_secs(5),
    };
    runtime().block_on(async {
        let mut from = data;
        while let Ok(frame) = read_frame(&mut from, &limits, &allowance).await {
            assert!(frame.body.len() <= data.len(), "no byte is made up");
        }
    });
    assert_eq!(memory.free_bytes(), FRAME_BYTES_MAX, "all memory is given back");
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
    let _ = kept::group_of(data);
    let key = |kind: u8| [&[0, kind][..], b"\0\x01g\0\x01m"].concat();
    let records: kept::Records = [3, 5, 6, 7, 8].map(|kind| (key(kind), data.to_vec())).into();
    let session = Duration::from_secs(45);
    if let Some(group) = Consumers::restore(&records, Vec::new(), session, tokio::time::Instant::now()) {
        assert!(group.members.len() <= 1, "no member is made up");
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

/// Messages of a login, the first and the last.
pub fn login(data: &[u8]) {
    if let Ok((user, _)) = plain::parse(data) {
        assert!(!user.is_empty(), "somebody logs in");
    }
    if let Ok(first) = First::parse(data) {
        assert!(!first.user.is_empty(), "somebody logs in");
    }
    for mechanism in Mechanism::ALL {
        let first = First::parse(b"n,,n=an,r=nonce").expect("it is a first message");
        let credential = Credential::of_salted(mechanism, b"salt".to_vec(), 4096, b"salted");
        let exchange = Exchange::with_nonce(mechanism, first, credential, "ours");
        if let Ok((user, _)) = exchange.finish(data) {
            assert_eq!(user, "an", "who began is who ends");
        }
    }
}

/// A certificate whose subject is somebody's name.
pub fn certificate(data: &[u8]) {
    let _ = subject::of_certificate(data);
}

/// The index file of a segment.
pub fn index(data: &[u8]) {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(data).expect("a temporary file can be written");
    let whole = data.len() as u64 / ENTRY_BYTES;
    let loaded = Index::load(&file, 1_000, whole, u64::MAX).expect("so many entries are there");
    assert!(loaded.len() as u64 <= whole, "no entry is made up");
    if let Some(summary) = Summary::load(&file).expect("a temporary file can be read") {
        let _ = summary.load_aborted(&file).expect("what the trailer tells is there");
        for wanted in [0, 1_000, i64::MAX] {
            let before = |entry: &Entry| entry.offset <= wanted;
            let _ = search(&file, 1_000, summary.entries, before).expect("what the trailer tells is there");
        }
    }
}

/// Files of JSON behind a checksum, as they come and with one that holds.
pub fn sealed(data: &[u8]) {
    let whole = seals::seal(data);
    assert_eq!(seals::open(&whole), Ok(data), "what is sealed is read back");
    for bytes in [data, &whole] {
        let _ = seals::read::<Meta>(bytes);
        let _ = seals::read::<Vec<Row>>(bytes);
        let _ = seals::read::<Saved>(bytes);
    }
}

/// A connection that sends these bytes and then no more: the broker ends it and goes on serving others.
pub fn connection(data: &[u8]) {
    send(served().address(), data);
}

/// The same where a login is asked for.
pub fn login_connection(data: &[u8]) {
    send(served().address_of("SASL_PLAINTEXT").expect("it has such a listener"), data);
}

fn send(address: SocketAddr, data: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("the broker goes on listening");
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
        let listener = |name: &str| format!("{name}://127.0.0.1:0");
        let security = SecurityConfig {
            listeners: vec![listener("PLAINTEXT"), listener("SASL_PLAINTEXT")],
            sasl_mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(str::to_owned).to_vec(),
            failed_login_delay_ms: 0,
            ..SecurityConfig::default()
        };
        let config = Config {
            security,
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
