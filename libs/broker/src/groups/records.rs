//! The records of `__consumer_offsets` as Kafka writes them, so that official tools can read them.
//!
//! Keys: version 1 is a committed offset (group, topic, partition), version 2 a group's state (group). Values: offsets
//! in version 3, states in version 3. A null value removes.

use bytes::{Buf, BufMut, Bytes};

use crate::num::i32_of;

/// Whose record it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Offset { group: String, topic: String, partition: i32 },
    Group { group: String },
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    pub(crate) committed_ms: i64,
}

/// A group's state after a rebalance, or when it lost its last member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) protocol_type: String,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) since_ms: i64,
    pub(crate) members: Vec<MemberSnapshot>,
}

/// A member in a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberSnapshot {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

impl Key {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Offset { group, topic, partition } => {
                bytes.put_i16(1);
                put_text(&mut bytes, group);
                put_text(&mut bytes, topic);
                bytes.put_i32(*partition);
            }
            Self::Group { group } => {
                bytes.put_i16(2);
                put_text(&mut bytes, group);
            }
        }
        bytes
    }

    /// `None` for keys of other kinds and for bytes that are no key.
    pub(crate) fn decode(mut from: &[u8]) -> Option<Self> {
        let from = &mut from;
        match from.try_get_i16().ok()? {
            0 | 1 => Some(Self::Offset { group: text(from)?, topic: text(from)?, partition: from.try_get_i32().ok()? }),
            2 => Some(Self::Group { group: text(from)? }),
            _ => None,
        }
    }
}

impl Committed {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_i16(3);
        bytes.put_i64(self.offset);
        bytes.put_i32(self.leader_epoch);
        put_text(&mut bytes, &self.metadata);
        bytes.put_i64(self.committed_ms);
        bytes
    }

    pub(crate) fn decode(mut from: &[u8]) -> Option<Self> {
        let from = &mut from;
        if from.try_get_i16().ok()? != 3 {
            return None;
        }
        Some(Self {
            offset: from.try_get_i64().ok()?,
            leader_epoch: from.try_get_i32().ok()?,
            metadata: text(from)?,
            committed_ms: from.try_get_i64().ok()?,
        })
    }
}

impl Snapshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_i16(3);
        put_text(&mut bytes, &self.protocol_type);
        bytes.put_i32(self.generation);
        put_optional(&mut bytes, self.protocol.as_deref());
        put_optional(&mut bytes, self.leader.as_deref());
        bytes.put_i64(self.since_ms);
        bytes.put_i32(i32_of(self.members.len()));
        for member in &self.members {
            put_text(&mut bytes, &member.id);
            put_optional(&mut bytes, member.instance.as_deref());
            put_text(&mut bytes, &member.client_id);
            put_text(&mut bytes, &member.client_host);
            bytes.put_i32(member.rebalance_timeout_ms);
            bytes.put_i32(member.session_timeout_ms);
            put_blob(&mut bytes, &member.subscription);
            put_blob(&mut bytes, &member.assignment);
        }
        bytes
    }

    pub(crate) fn decode(mut from: &[u8]) -> Option<Self> {
        let from = &mut from;
        if from.try_get_i16().ok()? != 3 {
            return None;
        }
        let mut snapshot = Self {
            protocol_type: text(from)?,
            generation: from.try_get_i32().ok()?,
            protocol: optional(from)?,
            leader: optional(from)?,
            since_ms: from.try_get_i64().ok()?,
            members: Vec::new(),
        };
        for _ in 0..from.try_get_i32().ok()? {
            snapshot.members.push(MemberSnapshot {
                id: text(from)?,
                instance: optional(from)?,
                client_id: text(from)?,
                client_host: text(from)?,
                rebalance_timeout_ms: from.try_get_i32().ok()?,
                session_timeout_ms: from.try_get_i32().ok()?,
                subscription: blob(from)?,
                assignment: blob(from)?,
            });
        }
        Some(snapshot)
    }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    // Everything written here came in a string of the wire or is shorter.
    to.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    to.extend_from_slice(&text.as_bytes()[..text.len().min(i16::MAX as usize)]);
}

fn put_optional(to: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_text(to, text),
        None => to.put_i16(-1),
    }
}

fn put_blob(to: &mut Vec<u8>, blob: &[u8]) {
    to.put_i32(i32_of(blob.len()));
    to.extend_from_slice(blob);
}

fn text(from: &mut &[u8]) -> Option<String> {
    optional(from)?
}

/// Outer `None`: the bytes end; inner: null.
fn optional(from: &mut &[u8]) -> Option<Option<String>> {
    let length = from.try_get_i16().ok()?;
    if length == -1 {
        return Some(None);
    }
    let (head, tail) = from.split_at_checked(usize::try_from(length).ok()?)?;
    *from = tail;
    Some(Some(String::from_utf8(head.to_vec()).ok()?))
}

fn blob(from: &mut &[u8]) -> Option<Bytes> {
    let length = usize::try_from(from.try_get_i32().ok()?).ok()?;
    let (head, tail) = from.split_at_checked(length)?;
    *from = tail;
    Some(Bytes::copy_from_slice(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_read_back() {
        for key in [
            Key::Offset { group: "g".to_owned(), topic: "t".to_owned(), partition: 7 },
            Key::Group { group: "größe".to_owned() },
        ] {
            assert_eq!(Key::decode(&key.encode()), Some(key));
        }
        let committed = Committed { offset: 42, leader_epoch: 0, metadata: "m".to_owned(), committed_ms: 9 };
        assert_eq!(Committed::decode(&committed.encode()), Some(committed));
        let member = MemberSnapshot {
            id: "m1".to_owned(),
            instance: None,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: 5,
            session_timeout_ms: 6,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b""),
        };
        let snapshot = Snapshot {
            protocol_type: "consumer".to_owned(),
            generation: 3,
            protocol: Some("range".to_owned()),
            leader: None,
            since_ms: 8,
            members: vec![member],
        };
        let bytes = snapshot.encode();
        assert_eq!(Snapshot::decode(&bytes), Some(snapshot));
        for length in 0..bytes.len() {
            assert_eq!(Snapshot::decode(&bytes[..length]), None);
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let key = Key::Offset { group: "g".to_owned(), topic: "t".to_owned(), partition: 1 };
        assert_eq!(key.encode(), b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x01");
        let committed = Committed { offset: 2, leader_epoch: -1, metadata: String::new(), committed_ms: 3 };
        assert_eq!(committed.encode(), b"\x00\x03\0\0\0\0\0\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\x03");
    }
}
