//! The fixed corpus: valid bytes of every kind, then cut, flipped, spliced and renumbered, the same each time.

use super::*;
use crate::log::records::build;
use crate::num::i32_of;
use crate::server::api::APIS;
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
    let mut packed = one.clone();
    // Says that it is compressed, and is not.
    packed[22] = 3;
    vec![one.clone(), packed, [one.clone(), one].concat()]
}

fn states() -> Vec<Vec<u8>> {
    let committed = Committed { offset: 1, leader_epoch: 0, metadata: "m".to_owned(), committed_ms: 2 };
    let subscription = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff".to_vec();
    let group =
        b"\0\x03\0\x08consumer\0\0\0\x01\0\x05range\xff\xff\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x01m\xff\xff\0\x01c\0\x01h\
                  \0\0\0\x01\0\0\0\x01\0\0\0\x01s\0\0\0\x01a";
    let offset = Key::Offset { group: "g".to_owned(), topic: "t".to_owned(), partition: 1 };
    vec![committed.encode(), offset.encode(), subscription, group.to_vec(), txns::records::encode_key("id")]
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
    let numbers: Vec<u8> = (0..=255).collect();
    drive(recovery, &[vec![0; 100], numbers], CHANGES * 50);
}

#[test]
fn the_connection_loop_stands_the_corpus_and_serves_on() {
    let requests = requests();
    let frames: Vec<Vec<u8>> = requests.iter().map(|request| framed(request)).collect();
    drive(connection, &frames, CONNECTIONS);
    // The first and the last of every three in one connection, with a frame in between that is none.
    let runs: Vec<Vec<u8>> = frames.chunks(3).map(|run| run.concat()).collect();
    drive(connection, &runs, 1);
    let mut stream = TcpStream::connect(served().address()).expect("it listens");
    let versions = framed(&[0, 18, 0, 0, 0, 0, 0, 9, 0xff, 0xff]);
    stream.write_all(&versions).expect("it takes a request");
    let mut head = [0; 8];
    stream.read_exact(&mut head).expect("it answers");
    assert_eq!(head[4..], [0, 0, 0, 9], "to the last request of all");
}

#[test]
fn every_target_has_its_file() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = std::fs::read_dir(dir).expect("the folder is there");
    let mut files: Vec<String> = files
        .map(|file| file.expect("it can be read").path().file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let mut targets: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    files.sort();
    targets.sort();
    assert_eq!(files, targets);
}
