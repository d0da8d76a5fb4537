//! Joining, syncing, heartbeats and leaving: who may do what in which phase.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::groups::group::{Group, Joined, Member, Phase, Synced};

/// Bytes that a member may say of itself, and be assigned.
pub(crate) const MEMBER_BYTES_MAX: usize = 1024 * 1024;
/// The same for all members of a group together: what is kept of a group is one record of the log.
pub(crate) const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What each part of it takes besides its own bytes.
const PART_BYTES: usize = 64;

/// Bytes that parts of so many bytes take when they are kept.
pub(crate) fn kept_bytes(parts: impl Iterator<Item = usize>) -> usize {
    parts.map(|bytes| bytes.saturating_add(PART_BYTES)).fold(0, usize::saturating_add)
}

/// A join, as the wire has it.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Clients since version 4 first get an id and join again with it.
    pub(crate) id_required: bool,
    /// Clients since version 9 understand that a returning leader need not assign.
    pub(crate) knows_skip: bool,
}

/// What a group is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupLimits {
    pub(crate) members_max: usize,
    pub(crate) initial_delay: Duration,
}

/// What a caller waits for, or has at once.
#[derive(Debug)]
pub(crate) enum Pending<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

/// What comes of a sync.
#[derive(Debug)]
pub(crate) enum SyncStep {
    Answer(Pending<Synced>),
    /// The leader assigned: when this is stored, [`Group::assigned`] tells everybody.
    Store {
        generation: i32,
        answer: oneshot::Receiver<Synced>,
    },
}

/// A sync, as the wire has it.
#[derive(Debug, Clone)]
pub(crate) struct Sync {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

impl Group {
    /// A member wants in, or in again.
    pub(crate) fn join(&mut self, join: Join, limits: GroupLimits, now: Instant) -> Pending<Joined> {
        let known = (!join.member_id.is_empty()).then_some(join.member_id.as_str());
        if !self.accepts(&join.protocol_type, &join.protocols, known) {
            return refuse(&ResponseError::InconsistentGroupProtocol, &join.member_id);
        }
        let others = self.members.values().filter(|member| Some(member.id.as_str()) != known);
        let others = others.map(|member| said_bytes(member.instance.as_deref(), &member.protocols));
        let others = others.fold(0, usize::saturating_add);
        if others.saturating_add(said_bytes(join.instance.as_deref(), &join.protocols)) > GROUP_BYTES_MAX {
            return refuse(&ResponseError::GroupMaxSizeReached, &join.member_id);
        }
        if join.member_id.is_empty() {
            return self.join_first(join, limits, now);
        }
        if self.pending.remove(&join.member_id).is_some() {
            if self.members.len() >= limits.members_max {
                return refuse(&ResponseError::GroupMaxSizeReached, &join.member_id);
            }
            let member_id = join.member_id.clone();
            return self.add(member_id, join, limits, now);
        }
        if let Err(error) = self.check_identity(&join.member_id, join.instance.as_deref()) {
            return refuse(&error, &join.member_id);
        }
        self.join_again(join, limits, now)
    }

    /// A member without an id.
    fn join_first(&mut self, join: Join, limits: GroupLimits, now: Instant) -> Pending<Joined> {
        let old = join.instance.as_ref().and_then(|instance| self.instances.get(instance)).cloned();
        if let Some(old) = old {
            return self.replace_static(&old, join, limits, now);
        }
        if self.members.len() + self.pending.len() >= limits.members_max {
            return refuse(&ResponseError::GroupMaxSizeReached, "");
        }
        let prefix = join.instance.as_deref().unwrap_or(&join.client_id);
        let member_id = format!("{prefix}-{}", Uuid::now_v7());
        if join.id_required && join.instance.is_none() {
            self.pending.insert(member_id.clone(), now + join.session_timeout);
            self.changed.notify_one();
            return refuse(&ResponseError::MemberIdRequired, &member_id);
        }
        self.add(member_id, join, limits, now)
    }

    fn add(&mut self, member_id: String, join: Join, limits: GroupLimits, now: Instant) -> Pending<Joined> {
        if let Some(instance) = &join.instance {
            self.instances.insert(instance.clone(), member_id.clone());
        }
        self.protocol_type = Some(join.protocol_type.clone());
        let member = Member {
            id: member_id.clone(),
            instance: join.instance.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            expires: now + join.session_timeout,
            joining: None,
            syncing: None,
            synced: false,
        };
        self.members.insert(member_id.clone(), member);
        self.rejoin(&member_id, join, limits, now)
    }

    /// A member that is in wants to know the next generation.
    fn join_again(&mut self, join: Join, limits: GroupLimits, now: Instant) -> Pending<Joined> {
        let member_id = join.member_id.clone();
        let unchanged = self.members.get(&member_id).is_some_and(|member| member.protocols == join.protocols);
        let leads = self.leader.as_deref() == Some(&member_id);
        match self.phase {
            Phase::Completing if unchanged => self.answer_present(&member_id, false, now),
            Phase::Stable if unchanged && !leads => self.answer_present(&member_id, false, now),
            Phase::Empty => refuse(&ResponseError::UnknownMemberId, &member_id),
            _ => self.rejoin(&member_id, join, limits, now),
        }
    }

    fn answer_present(&mut self, member_id: &str, skip: bool, now: Instant) -> Pending<Joined> {
        if let Some(member) = self.members.get_mut(member_id) {
            member.touch(now);
        }
        Pending::Now(self.joined(member_id, skip))
    }

    /// Takes the member's new wishes and has it wait for the next generation.
    fn rejoin(&mut self, member_id: &str, join: Join, limits: GroupLimits, now: Instant) -> Pending<Joined> {
        if self.phase != Phase::Preparing {
            self.prepare(now, limits.initial_delay);
        }
        let (answer, joined) = oneshot::channel();
        if let Some(member) = self.members.get_mut(member_id) {
            member.protocols = join.protocols;
            member.session_timeout = join.session_timeout;
            member.rebalance_timeout = join.rebalance_timeout;
            member.client_id = join.client_id;
            member.client_host = join.client_host;
            member.joining = Some(answer);
        }
        if !self.gathering {
            // The first member's own timeout counts too.
            let timeout = self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default();
            self.deadline = Some(self.deadline.map_or(now + timeout, |deadline| deadline.max(now + timeout)));
        }
        self.changed.notify_one();
        self.try_complete_join(now);
        Pending::Later(joined)
    }

    /// A static member comes back under a new id: its old self is fenced, and if nothing changed nobody rebalances.
    fn replace_static(&mut self, old: &str, join: Join, limits: GroupLimits, now: Instant) -> Pending<Joined> {
        let member_id = format!("{}-{}", join.instance.as_deref().unwrap_or_default(), Uuid::now_v7());
        let Some(mut member) = self.members.remove(old) else {
            return self.add(member_id, join, limits, now);
        };
        if let Some(joining) = member.joining.take() {
            let _ = joining.send(Joined::refused(&ResponseError::FencedInstanceId, old));
        }
        if let Some(syncing) = member.syncing.take() {
            let _ = syncing.send(Synced::refused(&ResponseError::FencedInstanceId));
        }
        let unchanged = member.protocols == join.protocols;
        member.id.clone_from(&member_id);
        if let Some(instance) = &join.instance {
            self.instances.insert(instance.clone(), member_id.clone());
        }
        let led = self.leader.as_deref() == Some(old);
        if led {
            self.leader = Some(member_id.clone());
        }
        member.session_timeout = join.session_timeout;
        member.rebalance_timeout = join.rebalance_timeout;
        member.client_id.clone_from(&join.client_id);
        member.client_host.clone_from(&join.client_host);
        self.members.insert(member_id.clone(), member);
        if self.phase != Phase::Stable || !unchanged {
            return self.rejoin(&member_id, join, limits, now);
        }
        if !led || join.knows_skip {
            return self.answer_present(&member_id, true, now);
        }
        // One that cannot skip would assign without anybody asking: the leader it is told of is its old self.
        let joined = Joined { leader: old.to_owned(), members: Vec::new(), ..self.joined(&member_id, false) };
        Pending::Now(joined)
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub(crate) fn sync(&mut self, sync: Sync, now: Instant) -> SyncStep {
        let refuse = |error: ResponseError| SyncStep::Answer(Pending::Now(Synced::refused(&error)));
        if let Err(error) = self.check_member(&sync.member_id, sync.instance.as_deref(), sync.generation) {
            return refuse(error);
        }
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return refuse(ResponseError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => refuse(ResponseError::UnknownMemberId),
            Phase::Preparing => refuse(ResponseError::RebalanceInProgress),
            Phase::Stable => {
                if let Some(member) = self.members.get_mut(&sync.member_id) {
                    member.touch(now);
                }
                SyncStep::Answer(Pending::Now(self.synced(&sync.member_id)))
            }
            Phase::Completing => self.await_assignment(sync, now),
        }
    }

    fn await_assignment(&mut self, sync: Sync, now: Instant) -> SyncStep {
        let (answer, synced) = oneshot::channel();
        if let Some(member) = self.members.get_mut(&sync.member_id) {
            member.syncing = Some(answer);
            member.synced = true;
            member.touch(now);
        }
        if self.leader.as_deref() != Some(&sync.member_id) {
            return SyncStep::Answer(Pending::Later(synced));
        }
        let mut assignments: std::collections::HashMap<String, Bytes> = sync.assignments.into_iter().collect();
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
        }
        SyncStep::Store { generation: self.generation, answer: synced }
    }

    /// A member is alive.
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check_member(member_id, instance, generation)?;
        if let Some(member) = self.members.get_mut(member_id) {
            member.touch(now);
        }
        match self.phase {
            Phase::Preparing => Err(ResponseError::RebalanceInProgress),
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    /// A member leaves; a static one may be named by its instance alone.
    pub(crate) fn leave(&mut self, member_id: &str, instance: Option<&str>, now: Instant) -> Result<(), ResponseError> {
        if self.pending.remove(member_id).is_some() {
            self.changed.notify_one();
            self.try_complete_join(now);
            return Ok(());
        }
        let member_id = match instance {
            Some(instance) => {
                let current = self.instances.get(instance).ok_or(ResponseError::UnknownMemberId)?;
                if !member_id.is_empty() && member_id != current {
                    return Err(ResponseError::FencedInstanceId);
                }
                current.clone()
            }
            None => member_id.to_owned(),
        };
        if !self.members.contains_key(&member_id) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.remove(&member_id, now);
        Ok(())
    }

    /// Whether this is who it says it is.
    fn check_identity(&self, member_id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(current) if current != member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether this is a member of the present generation.
    pub(crate) fn check_member(
        &self,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        self.check_identity(member_id, instance)?;
        if generation == self.generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }
}

/// Bytes of what a member says of itself. Its id begins with that of its instance.
fn said_bytes(instance: Option<&str>, protocols: &[(String, Bytes)]) -> usize {
    let protocols = protocols.iter().map(|(name, metadata)| name.len() + metadata.len());
    kept_bytes(protocols.chain(instance.map(|instance| 2 * instance.len())))
}

fn refuse(error: &ResponseError, member_id: &str) -> Pending<Joined> {
    Pending::Now(Joined::refused(error, member_id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_members_say_of_themselves_is_bounded_for_all_of_a_group() {
        let mut group = Group::new(Arc::from("g"));
        let limits = GroupLimits { members_max: 100, initial_delay: Duration::ZERO };
        let join = |instance: String| Join {
            member_id: String::new(),
            instance: Some(instance),
            client_id: String::new(),
            client_host: String::new(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(10),
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from(vec![7; MEMBER_BYTES_MAX - 200]))],
            id_required: false,
            knows_skip: true,
        };
        let fit = GROUP_BYTES_MAX / MEMBER_BYTES_MAX;
        let waiting: Vec<_> = (0..fit).map(|at| group.join(join(at.to_string()), limits, Instant::now())).collect();
        assert!(waiting.iter().all(|joined| matches!(joined, Pending::Later(_))));
        let Pending::Now(refused) = group.join(join("one more".to_owned()), limits, Instant::now()) else {
            panic!("it is refused at once")
        };
        assert_eq!((refused.code, group.members.len()), (ResponseError::GroupMaxSizeReached.code(), fit));
    }
}
