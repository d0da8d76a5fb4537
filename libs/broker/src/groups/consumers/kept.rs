//! What is kept of a group of KIP-848, in the records in which Kafka keeps it in `__consumer_offsets`.
//!
//! Keys by their first number: 3 the group (its epoch), 5 a member (what it wants), 6 the target (its epoch), 7 a member's
//! target, 8 a member's assignment. Values are in version 0, with compact lengths and tagged fields.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BufMut};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Consumer, Consumers, World, compile};
use crate::groups::assignors::{Assignor, Parts};

const GROUP: i16 = 3;
const MEMBER: i16 = 5;
const TARGET: i16 = 6;
const TARGET_OF_MEMBER: i16 = 7;
const ASSIGNMENT: i16 = 8;
const VERSION: i16 = 0;
/// Where a member stands, as Kafka numbers it.
const STABLE: i8 = 0;
const UNREVOKED: i8 = 1;

/// Records by their keys.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The group that a key is about; `None` for keys of other kinds.
pub(crate) fn group_of(mut key: &[u8]) -> Option<String> {
    let kind = key.try_get_i16().ok()?;
    matches!(kind, GROUP | MEMBER | TARGET | TARGET_OF_MEMBER | ASSIGNMENT).then(|| short_text(&mut key))?
}

impl Consumers {
    /// Everything that is to be found again.
    pub(crate) fn records(&self, group: &str) -> Records {
        let mut records = Records::new();
        for kind in [GROUP, TARGET] {
            records.insert(key(kind, group, None), value(|to| to.put_i32(self.epoch)));
        }
        for (id, member) in &self.members {
            records.insert(key(MEMBER, group, Some(id)), value(|to| member.put(to)));
            records.insert(key(TARGET_OF_MEMBER, group, Some(id)), value(|to| put_parts(to, &member.target)));
            let assignment = value(|to| {
                to.put_i32(member.epoch);
                to.put_i32(member.previous_epoch);
                to.put_i8(if member.revoking.is_empty() { STABLE } else { UNREVOKED });
                put_parts(to, &member.assigned);
                put_parts(to, &member.revoking);
            });
            records.insert(key(ASSIGNMENT, group, Some(id)), assignment);
        }
        records
    }

    /// The group of these records; `None` if they are not those of one. Its members have a whole session to be heard of.
    pub(crate) fn restore(records: &Records, world: World, session: Duration, now: Instant) -> Option<Self> {
        let mut group = Self::new();
        let of_kind = |wanted: i16| records.iter().filter(move |(key, _)| key.starts_with(&wanted.to_be_bytes()));
        let (_, epoch) = of_kind(GROUP).next()?;
        group.epoch = versioned(epoch)?.try_get_i32().ok()?;
        for (key, value) in of_kind(MEMBER) {
            let (mut member, id) = (Consumer::new(now + session), member_of(key)?);
            member.take(&mut versioned(value)?)?;
            group.instances.extend(member.instance.clone().map(|instance| (instance, id.clone())));
            group.members.insert(id, member);
        }
        for (key, value) in of_kind(TARGET_OF_MEMBER) {
            if let Some(member) = group.members.get_mut(&member_of(key)?) {
                member.target = take_parts(&mut versioned(value)?)?;
            }
        }
        for (key, value) in of_kind(ASSIGNMENT) {
            let Some(member) = group.members.get_mut(&member_of(key)?) else { continue };
            let mut from = versioned(value)?;
            member.epoch = from.try_get_i32().ok()?;
            member.previous_epoch = from.try_get_i32().ok()?;
            let _state = from.try_get_i8().ok()?;
            (member.assigned, member.revoking) = (take_parts(&mut from)?, take_parts(&mut from)?);
            member.revoke_by = (!member.revoking.is_empty()).then(|| now + member.rebalance_timeout);
        }
        group.elect();
        group.resolve(world);
        Some(group)
    }
}

impl Consumer {
    fn put(&self, to: &mut Vec<u8>) {
        put_optional(to, self.instance.as_deref());
        put_optional(to, self.rack.as_deref());
        put_text(to, &self.client_id);
        put_text(to, &self.client_host);
        put_count(to, self.names.len());
        self.names.iter().for_each(|name| put_text(to, name));
        put_optional(to, self.pattern.as_ref().map(|pattern| pattern.text.as_str()));
        to.put_i32(i32::try_from(self.rebalance_timeout.as_millis()).unwrap_or(i32::MAX));
        put_optional(to, self.assignor.map(Assignor::name));
    }

    fn take(&mut self, from: &mut &[u8]) -> Option<()> {
        self.instance = optional(from)?;
        self.rack = optional(from)?;
        self.client_id = optional(from)??;
        self.client_host = optional(from)??;
        for _ in 0..count(from)? {
            self.names.insert(optional(from)??);
        }
        self.pattern = compile(optional(from)?.as_deref()).ok().flatten();
        let timeout = u64::try_from(from.try_get_i32().ok()?).ok()?;
        self.rebalance_timeout = Duration::from_millis(timeout);
        self.assignor = optional(from)?.as_deref().and_then(Assignor::named);
        Some(())
    }
}

fn key(kind: i16, group: &str, member: Option<&str>) -> Vec<u8> {
    let mut key = kind.to_be_bytes().to_vec();
    for text in [Some(group), member].into_iter().flatten() {
        // Both came in strings of the wire.
        key.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        key.extend_from_slice(text.as_bytes());
    }
    key
}

fn member_of(key: &[u8]) -> Option<String> {
    let mut rest = key.get(2..)?;
    short_text(&mut rest)?;
    short_text(&mut rest)
}

fn short_text(from: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(from.try_get_i16().ok()?).ok()?;
    take_text(from, length)
}

fn value(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut value = VERSION.to_be_bytes().to_vec();
    fill(&mut value);
    // No tagged fields.
    value.put_u8(0);
    value
}

/// What stands behind the version.
fn versioned(mut value: &[u8]) -> Option<&[u8]> {
    (value.try_get_i16().ok()? == VERSION).then_some(value)
}

fn put_parts(to: &mut Vec<u8>, parts: &Parts) {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, index) in parts {
        topics.entry(*topic).or_default().push(*index);
    }
    put_count(to, topics.len());
    for (topic, indexes) in topics {
        to.put_slice(topic.as_bytes());
        put_count(to, indexes.len());
        indexes.into_iter().for_each(|index| to.put_i32(index));
        to.put_u8(0);
    }
}

fn take_parts(from: &mut &[u8]) -> Option<Parts> {
    let mut parts = Parts::new();
    for _ in 0..count(from)? {
        let mut topic = [0; 16];
        from.try_copy_to_slice(&mut topic).ok()?;
        for _ in 0..count(from)? {
            parts.insert((Uuid::from_bytes(topic), from.try_get_i32().ok()?));
        }
        skip_tags(from)?;
    }
    Some(parts)
}

/// Fields of newer versions of Kafka.
fn skip_tags(from: &mut &[u8]) -> Option<()> {
    for _ in 0..varint(from)? {
        varint(from)?;
        let length = varint(from)?;
        *from = from.get(length..)?;
    }
    Some(())
}

fn put_count(to: &mut Vec<u8>, count: usize) {
    put_varint(to, count + 1);
}

fn count(from: &mut &[u8]) -> Option<usize> {
    varint(from)?.checked_sub(1)
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_optional(to, Some(text));
}

fn put_optional(to: &mut Vec<u8>, text: Option<&str>) {
    put_varint(to, text.map_or(0, |text| text.len() + 1));
    to.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// Outer `None`: the bytes end; inner: null.
fn optional(from: &mut &[u8]) -> Option<Option<String>> {
    match varint(from)? {
        0 => Some(None),
        length => take_text(from, length - 1).map(Some),
    }
}

fn take_text(from: &mut &[u8], length: usize) -> Option<String> {
    let (head, tail) = from.split_at_checked(length)?;
    *from = tail;
    String::from_utf8(head.to_vec()).ok()
}

fn put_varint(to: &mut Vec<u8>, value: usize) {
    let mut value = value as u64;
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8((value & 0x7f) as u8);
}

fn varint(from: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..35).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
