//! The fixed corpus: valid bytes of every kind, then cut, flipped, spliced and renumbered, the same each time.

use super::*;
use crate::log::batch::HEADER_BYTES;
use crate::log::checkpoint::Known;
use crate::log::codec;
use crate::log::producers::Producers;
use crate::log::records::build;
use crate::log::transactions::Aborted;
use crate::num::i32_of;
use crate::server::api::APIS;
use crate::txns::transaction::Transaction;
use crate::wire::shape::generate;

/// Changed inputs made of each valid one.
const CHANGES: usize = 60;
/// As many for the connection, whose inputs take a connection each.
const CONNECTIONS: usize = 2;

/// Numbers that look like chance and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap_or(0)
    }

    /// One of the ways in which bytes go wrong, or are made to.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.next(bytes.len());
        match self.next(5) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.next(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.next(5)],
            3 => {
                // A length, as lengths are written.
                let number = [0, 1, -1, -2, i32::MAX, i32::MIN][self.next(6)].to_be_bytes();
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            _ => {
                let copy = bytes[at..(at + self.next(30)).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}

/// Drives a target over these inputs and over changed ones.
fn drive(target: Target, seeds: &[Vec<u8>], changes: usize) {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for seed in seeds {
        target(seed);
        for _ in 0..changes {
            let mut bytes = seed.clone();
            for _ in 0..=noise.next(3) {
                noise.change(&mut bytes);
            }
            target(&bytes);
        }
    }
}

/// A request of every API in every version, as a connection reads it.
fn requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for api in APIS {
        for version in api.versions.clone() {
            let mut bytes = (api.key as i16).to_be_bytes().to_vec();
            bytes.extend(version.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
            if version >= api.shape.flexible && api.key != ApiKey::ApiVersions {
                bytes.push(0);
            }
            bytes.extend(generate::body(&api.shape, version, 2, 7));
            requests.push(bytes);
        }
    }
    requests
}

fn framed(request: &[u8]) -> Vec<u8> {
    [&i32_of(request.len()).to_be_bytes()[..], request].concat()
}

fn batches() -> Vec<Vec<u8>> {
    let one = build(&[(Some(b"key".as_slice()), Some(b"value".as_slice())), (None, None)], 1_700_000_000_000);
    let header = Header::parse(&one).expect("it is a batch");
    let mut batches = vec![[one.clone(), one.clone()].concat()];
    for (name, codec) in codec::TYPES {
        let packed = codec::pack_batch(&header, &one, codec).map(|packed| packed.expect("it can be packed"));
        let packed = packed.unwrap_or_else(|| one.clone());
        assert!(
            check_produced(&packed).is_ok_and(|header| codec::open(&header, &packed[HEADER_BYTES..]).is_some()),
            "{name}"
        );
        batches.push(packed);
    }
    // Says that it is compressed, and is not.
    let mut nonsense = one;
    nonsense[22] = 3;
    batches.push(nonsense);
    batches
}

fn states() -> Vec<Vec<u8>> {
    let committed = Committed { offset: 1, leader_epoch: 0, metadata: "m".to_owned(), committed_ms: 2 };
    let subscription = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff".to_vec();
    let group =
        b"\0\x03\0\x08consumer\0\0\0\x01\0\x05range\xff\xff\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x01m\xff\xff\0\x01c\0\x01h\
                  \0\0\0\x01\0\0\0\x01\0\0\0\x01s\0\0\0\x01a";
    let offset = Key::Offset { group: "g".to_owned(), topic: "t".to_owned(), partition: 1 };
    let mut transaction = Transaction::new(7, 60_000, 1);
    transaction.partitions = [("t".to_owned(), 0), ("t".to_owned(), 3), ("u".to_owned(), 0)].into();
    let value = txns::records::encode_value(&transaction);
    assert_eq!(txns::records::decode_value(&value), Some(transaction));
    assert!(Snapshot::decode(group).is_some() && subscription_topics(&subscription).is_some());
    // A member of KIP-848: its wishes, and its assignment of two topics.
    let wishes = b"\0\0\x02i\0\x02c\x02h\x03\x02a\x02b\0\0\0\x13\x88\x08uniform\0".to_vec();
    let topic = [&[7; 16][..], b"\x03\0\0\0\0\0\0\0\x01\0"].concat();
    let assignment = [&b"\0\0\0\0\0\x02\0\0\0\x01\0\x03"[..], &topic, &topic, b"\x01\0"].concat();
    let states = [committed.encode(), offset.encode(), subscription, group.to_vec(), txns::records::encode_key("id")];
    states.into_iter().chain([value, wishes, assignment]).collect()
}

fn aborted() -> Vec<Aborted> {
    vec![Aborted { producer_id: 1, first_offset: 2, last_offset: 3 }; 2]
}

/// Checkpoint, recovery point and aborted transactions as they are written; the checksum is what a target adds itself.
fn recoveries() -> Vec<Vec<u8>> {
    let known = Known { log_start: 3, synced: 9, segment: 3, position: 700 };
    let checkpoint = checkpoint::encode(&[((uuid::Uuid::from_u128(5), 2), known)].into());
    let batch = build(&[(None, None)], 5);
    let mut header = Header::parse(&batch).expect("it is a batch");
    (header.producer_id, header.producer_epoch, header.base_sequence) = (9, 1, 4);
    let mut producers = Producers::default();
    producers.note(&header, 7, 10);
    let point = Point {
        offset: 9,
        segment: 3,
        position: 700,
        index_entries: 2,
        max_timestamp: 5,
        max_timestamp_offset: 4,
        producers,
        aborted: aborted(),
    };
    let (point, aborted) = (point.encode(), transactions::encode(&aborted()));
    assert!(checkpoint::decode(&checkpoint).is_some() && Point::decode(&point).is_some());
    assert_eq!(transactions::decode(&aborted).expect("it is whole").len(), 2);
    let bare = |bytes: &[u8]| bytes[..bytes.len() - 4].to_vec();
    let seeds = [&checkpoint, &point, &aborted];
    seeds.iter().flat_map(|bytes| [bare(bytes), bytes.to_vec()]).chain([vec![0; 100], (0..=255).collect()]).collect()
}

fn indexes() -> Vec<Vec<u8>> {
    let mut index = Index::default();
    for at in 0..20_i64 {
        let entry =
            Entry { offset: 1_000 + at * 3, position: at.unsigned_abs() * 5_000, timestamp_before: at * 10 - 1 };
        index.note(entry, 5_000);
    }
    let entries = u32::try_from(index.len()).expect("they are few");
    let summary = Summary { entries, aborted: 2, log_bytes: 90_000, max_timestamp: 5, max_timestamp_offset: 6 };
    let whole = [index.encode_from(0, 1_000), transactions::encode(&aborted()), summary.encode()].concat();
    vec![whole, index.encode_from(0, 1_000), summary.encode(), Vec::new()]
}

const SEALED: [&str; 3] = [
    r#"{"cluster_id": "c", "topics": [{"name": "t", "id": "00000000-0000-0000-0000-000000000005", "partitions": 3,
        "configs": {"retention.ms": "5"}}]}"#,
    r#"[{"entity": {"user": "an", "client-id": null}, "values": {"producer_byte_rate": 1024.0}}]"#,
    r#"{"users": {"an": {"SCRAM-SHA-256": {"salt": "c2FsdA==", "iterations": 4096, "stored_key": "a2V5",
        "server_key": "a2V5"}}}, "acls": {}}"#,
];

fn sealed_files() -> Vec<Vec<u8>> {
    let [meta, quotas, saved] = SEALED.map(seals::seal);
    assert!(seals::read::<Meta>(&meta).is_ok());
    assert!(seals::read::<Vec<Row>>(&quotas).is_ok());
    assert!(seals::read::<Saved>(&saved).is_ok());
    SEALED.iter().map(|text| text.as_bytes().to_vec()).chain([meta, quotas, saved]).collect()
}

const LOGINS: [&[u8]; 5] = [
    b"\0an\0secret",
    b"an\0an\0secret",
    b"n,,n=an,r=nonce",
    b"n,a=a=2Cn,n=a=2Cn,r=nonce,x=y",
    b"c=biws,r=nonceours,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
];

/// Logins as connections send them: with headers and, as old clients do, without.
fn login_frames() -> Vec<Vec<u8>> {
    let request = |key: i16, version: i16, body: &[u8]| {
        framed(&[&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff], body].concat())
    };
    let mut frames = Vec::new();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] {
        let name = [&i16::try_from(mechanism.len()).unwrap_or(0).to_be_bytes()[..], mechanism.as_bytes()].concat();
        for message in LOGINS {
            let authenticate = request(36, 1, &framed(message));
            frames.push([request(17, 1, &name), authenticate.clone(), authenticate].concat());
            frames.push([request(17, 0, &name), framed(message), framed(message)].concat());
        }
    }
    frames
}

/// The start of a certificate, as far as its subject.
fn certificates() -> Vec<Vec<u8>> {
    use rcgen::{CertificateParams, DnType, KeyPair};
    let mut params = CertificateParams::new(vec![]).expect("it needs no names");
    params.distinguished_name.push(DnType::OrganizationName, "An, Bo & Co");
    params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b");
    let key = KeyPair::generate().expect("there is randomness");
    let whole = params.self_signed(&key).expect("it can be signed").der().to_vec();
    assert!(subject::of_certificate(&whole).is_some());
    vec![whole]
}

#[test]
fn the_frame_reader_stands_every_frame_of_the_corpus() {
    let frames: Vec<Vec<u8>> = requests().iter().map(|request| framed(request)).collect();
    drive(frame, &frames, CHANGES);
}

#[test]
fn the_decoder_of_every_api_and_version_stands_the_corpus() {
    drive(request, &requests(), CHANGES);
}

#[test]
fn the_check_of_batches_and_the_walk_over_segments_stand_the_corpus() {
    drive(batch, &batches(), CHANGES * 50);
    drive(segment, &batches(), CHANGES);
}

#[test]
fn decoders_of_what_is_stored_stand_the_corpus() {
    drive(state, &states(), CHANGES * 50);
    drive(recovery, &recoveries(), CHANGES * 20);
    drive(index, &indexes(), CHANGES * 2);
    drive(sealed, &sealed_files(), CHANGES * 10);
}

#[test]
fn what_clients_prove_themselves_with_stands_the_corpus() {
    let messages: Vec<Vec<u8>> = LOGINS.iter().map(|message| message.to_vec()).collect();
    drive(login, &messages, CHANGES * 10);
    drive(certificate, &certificates(), CHANGES * 100);
}

#[test]
fn the_connection_loop_stands_the_corpus_and_serves_on() {
    let requests = requests();
    let frames: Vec<Vec<u8>> = requests.iter().map(|request| framed(request)).collect();
    drive(connection, &frames, CONNECTIONS);
    // The first and the last of every three in one connection, with a frame in between that is none.
    let runs: Vec<Vec<u8>> = frames.chunks(3).map(|run| run.concat()).collect();
    drive(connection, &runs, 1);
    drive(login_connection, &login_frames(), CONNECTIONS);
    let mut stream = TcpStream::connect(served().address()).expect("it listens");
    let versions = framed(&[0, 18, 0, 0, 0, 0, 0, 9, 0xff, 0xff]);
    stream.write_all(&versions).expect("it takes a request");
    let mut head = [0; 8];
    stream.read_exact(&mut head).expect("it answers");
    assert_eq!(head[4..], [0, 0, 0, 9], "to the last request of all");
}

#[test]
fn every_target_has_its_file_and_its_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap_or_default();
    let programs = read("Cargo.toml");
    for (name, _) in TARGETS {
        let file = format!("fuzz_targets/{name}.rs");
        let call = format!("libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::{name}(data));");
        assert!(read(&file).contains(&call), "{file} drives another function");
        assert!(programs.contains(&format!("[[bin]]\nname = \"{name}\"\npath = \"{file}\"\n")), "{name}");
    }
    let files = std::fs::read_dir(folder.join("fuzz_targets")).expect("the folder is there").count();
    assert_eq!((files, programs.matches("[[bin]]").count()), (TARGETS.len(), TARGETS.len()));
}
