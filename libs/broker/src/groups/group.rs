//! One group: members, phases, generations. No I/O and no clock of its own; whoever calls passes the time.
//!
//! Phases: empty, preparing (members are joining), completing (the leader is assigning), stable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::groups::consumers::Consumers;
use crate::groups::consumers::kept::Records;
use crate::groups::forgetting::Queued;
use crate::groups::records::{Committed, MemberSnapshot, Snapshot};
use crate::state_log::ProducerRun;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    Preparing,
    Completing,
    Stable,
}

impl Phase {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Committed offsets by topic and partition.
pub(crate) type Offsets = BTreeMap<(String, i32), Committed>;

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Arc<str>,
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Member id of each static instance.
    pub(crate) instances: HashMap<String, String>,
    /// Ids given out that have not joined with them yet, and until when they may.
    pub(crate) pending: HashMap<String, Instant>,
    pub(crate) offsets: Offsets,
    /// Offsets committed in transactions that are not decided yet.
    pub(crate) undecided: HashMap<ProducerRun, Offsets>,
    /// Commits that are on their way to the log.
    pub(crate) queued: Queued,
    /// What the log has of its state.
    pub(crate) stored: Option<Snapshot>,
    /// Removed from the coordinator: whoever holds it looks again.
    pub(crate) dead: bool,
    /// Whether a task tends its deadlines, and how to make it look again.
    pub(crate) tended: bool,
    pub(crate) changed: Arc<Notify>,
    /// When the joining or the assigning must be over.
    pub(crate) deadline: Option<Instant>,
    /// The first joining waits for more members until its deadline.
    pub(crate) gathering: bool,
    /// The members of KIP-848: set if the group is, or was last, of that protocol.
    pub(crate) consumers: Option<Consumers>,
    /// What the log says of those.
    pub(crate) kept: Records,
    /// It became empty and the log does not know yet.
    pub(crate) emptied: bool,
}

/// A member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// Protocols by preference, with the member's metadata for each.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When it is gone unless heard of.
    pub(crate) expires: Instant,
    pub(crate) joining: Option<oneshot::Sender<Joined>>,
    pub(crate) syncing: Option<oneshot::Sender<Synced>>,
    /// It asked for its assignment in this generation.
    pub(crate) synced: bool,
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) code: i16,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// For the leader: who is in, with their metadata.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
    /// For a leader that came back unchanged: its assignment stands.
    pub(crate) skip_assignment: bool,
}

/// The answer to a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) code: i16,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

impl Joined {
    pub(crate) fn refused(error: &ResponseError, member_id: &str) -> Self {
        Self {
            code: error.code(),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            member_id: member_id.to_owned(),
            members: Vec::new(),
            skip_assignment: false,
        }
    }
}

impl Synced {
    pub(crate) fn refused(error: &ResponseError) -> Self {
        Self { code: error.code(), protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

impl Member {
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| Some(name.as_str()) == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub(crate) fn touch(&mut self, now: Instant) {
        self.expires = now + self.session_timeout;
    }
}

impl Group {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: HashMap::new(),
            pending: HashMap::new(),
            offsets: Offsets::new(),
            undecided: HashMap::new(),
            queued: Queued::default(),
            stored: None,
            dead: false,
            tended: false,
            changed: Arc::new(Notify::new()),
            deadline: None,
            gathering: false,
            consumers: None,
            kept: Records::new(),
            emptied: false,
        }
    }

    /// Takes over what the log said; members have one session timeout to be heard of.
    pub(crate) fn restore(&mut self, snapshot: Snapshot, now: Instant) {
        self.generation = snapshot.generation;
        self.protocol_type = (!snapshot.protocol_type.is_empty()).then(|| snapshot.protocol_type.clone());
        self.protocol.clone_from(&snapshot.protocol);
        self.leader.clone_from(&snapshot.leader);
        self.phase = if snapshot.members.is_empty() { Phase::Empty } else { Phase::Stable };
        self.members.clear();
        self.instances.clear();
        for member in &snapshot.members {
            if let Some(instance) = &member.instance {
                self.instances.insert(instance.clone(), member.id.clone());
            }
            let session_timeout = millis(member.session_timeout_ms);
            let restored = Member {
                id: member.id.clone(),
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout,
                rebalance_timeout: millis(member.rebalance_timeout_ms),
                protocols: snapshot
                    .protocol
                    .iter()
                    .map(|protocol| (protocol.clone(), member.subscription.clone()))
                    .collect(),
                assignment: member.assignment.clone(),
                expires: now + session_timeout,
                joining: None,
                syncing: None,
                synced: true,
            };
            self.members.insert(member.id.clone(), restored);
        }
        self.stored = Some(snapshot);
    }

    /// What the log is to say of it now.
    pub(crate) fn snapshot(&self, now_ms: i64) -> Snapshot {
        let protocol = self.protocol.as_deref();
        let members = self.members.values().map(|member| MemberSnapshot {
            id: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: i32::try_from(member.rebalance_timeout.as_millis()).unwrap_or(i32::MAX),
            session_timeout_ms: i32::try_from(member.session_timeout.as_millis()).unwrap_or(i32::MAX),
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        });
        Snapshot {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since_ms: now_ms,
            members: members.collect(),
        }
    }

    /// Begins a rebalance: whoever waits for an assignment is told to join again.
    pub(crate) fn prepare(&mut self, now: Instant, initial_delay: Duration) {
        for member in self.members.values_mut() {
            if let Some(syncing) = member.syncing.take() {
                let _ = syncing.send(Synced::refused(&ResponseError::RebalanceInProgress));
            }
            member.synced = false;
        }
        self.gathering = self.phase == Phase::Empty && !initial_delay.is_zero();
        let wait = if self.gathering { initial_delay } else { self.rebalance_timeout() };
        self.deadline = Some(now + wait);
        self.phase = Phase::Preparing;
        self.changed.notify_one();
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Ends the joining if everybody is in.
    pub(crate) fn try_complete_join(&mut self, now: Instant) {
        let all_in = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if self.phase == Phase::Preparing && !self.gathering && all_in {
            self.complete_join(now);
        }
    }

    /// Ends the joining: who did not join is out (static members stay until their session ends), a generation begins.
    fn complete_join(&mut self, now: Instant) {
        self.gathering = false;
        let out = self.members.values().filter(|member| member.joining.is_none() && member.instance.is_none());
        for id in out.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.members.remove(&id);
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        self.changed.notify_one();
        if self.members.is_empty() {
            self.become_empty();
            return;
        }
        self.protocol = self.choose_protocol();
        self.elect_leader();
        self.phase = Phase::Completing;
        self.deadline = Some(now + self.rebalance_timeout());
        metrics::counter!(crate::metrics::REBALANCES).increment(1);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id, false);
            if let Some(member) = self.members.get_mut(&id) {
                member.synced = false;
                if let Some(joining) = member.joining.take() {
                    member.touch(now);
                    let _ = joining.send(joined);
                }
            }
        }
    }

    fn become_empty(&mut self) {
        self.phase = Phase::Empty;
        self.protocol = None;
        self.leader = None;
        self.deadline = None;
        self.emptied = true;
    }

    /// The present leader if it is here, else the first that joined.
    fn elect_leader(&mut self) {
        let here = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !self.leader.as_ref().is_some_and(here) {
            let joined = self.members.values().find(|member| member.joining.is_some());
            self.leader = joined.or_else(|| self.members.values().next()).map(|member| member.id.clone());
        }
    }

    /// The protocol that all support and most prefer.
    fn choose_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|(name, _)| name.as_str()).find(|name| self.all_support(name));
            if let Some(vote) = vote {
                *votes.entry(vote).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned())
    }

    fn all_support(&self, name: &str) -> bool {
        self.members.values().all(|member| member.protocols.iter().any(|(protocol, _)| protocol == name))
    }

    /// Whether a member (besides `except`) with these protocols could be in.
    pub(crate) fn accepts(&self, protocol_type: &str, protocols: &[(String, Bytes)], except: Option<&str>) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        let mut others = self.members.values().filter(|member| Some(member.id.as_str()) != except).peekable();
        if others.peek().is_none() {
            return true;
        }
        if self.protocol_type.as_deref() != Some(protocol_type) {
            return false;
        }
        let others: Vec<&Member> = others.collect();
        protocols
            .iter()
            .any(|(name, _)| others.iter().all(|member| member.protocols.iter().any(|(protocol, _)| protocol == name)))
    }

    /// The answer to a join of a member that is in the present generation.
    pub(crate) fn joined(&self, member_id: &str, skip_assignment: bool) -> Joined {
        let leads = self.leader.as_deref() == Some(member_id);
        let protocol = self.protocol.as_deref();
        let everybody =
            self.members.values().map(|member| (member.id.clone(), member.instance.clone(), member.metadata(protocol)));
        Joined {
            code: 0,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.to_owned(),
            members: if leads { everybody.collect() } else { Vec::new() },
            skip_assignment: leads && skip_assignment,
        }
    }

    /// The answer to a sync of a member in the stable phase.
    pub(crate) fn synced(&self, member_id: &str) -> Synced {
        Synced {
            code: 0,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// The leader's assignment is on stable storage (or could not be put there): everybody who waits is told.
    pub(crate) fn assigned(&mut self, generation: i32, stored: bool, now: Instant) {
        if self.phase != Phase::Completing || self.generation != generation {
            return;
        }
        if !stored {
            self.prepare(now, Duration::ZERO);
            return;
        }
        self.phase = Phase::Stable;
        self.deadline = None;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let synced = self.synced(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(syncing) = member.syncing.take()
            {
                member.touch(now);
                let _ = syncing.send(synced);
            }
        }
        // Whoever has not asked yet has as long as its session.
    }

    /// Takes a member out; the others share its work anew.
    pub(crate) fn remove(&mut self, member_id: &str, now: Instant) {
        let Some(member) = self.members.remove(member_id) else { return };
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if let Some(joining) = member.joining {
            let _ = joining.send(Joined::refused(&ResponseError::UnknownMemberId, member_id));
        }
        if let Some(syncing) = member.syncing {
            let _ = syncing.send(Synced::refused(&ResponseError::UnknownMemberId));
        }
        self.changed.notify_one();
        match self.phase {
            Phase::Stable | Phase::Completing => {
                self.prepare(now, Duration::ZERO);
                self.try_complete_join(now);
            }
            Phase::Preparing => self.try_complete_join(now),
            Phase::Empty => {}
        }
    }

    /// Does what is due; returns when to look again, `None` if nothing can become due.
    pub(crate) fn tend(&mut self, now: Instant) -> Option<Instant> {
        let before = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        if self.pending.len() < before {
            self.try_complete_join(now);
        }
        let gone = self.members.values().filter(|member| member.joining.is_none() && member.expires <= now);
        for id in gone.map(|member| member.id.clone()).collect::<Vec<_>>() {
            tracing::debug!(group = %self.id, member = %id, "session ended");
            self.remove(&id, now);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            match self.phase {
                Phase::Preparing => {
                    self.pending.clear();
                    self.complete_join(now);
                }
                Phase::Completing => self.drop_unsynced(now),
                Phase::Empty | Phase::Stable => self.deadline = None,
            }
        }
        let consumers = self.consumers.as_mut().and_then(|consumers| consumers.tend(now));
        let sessions = self.members.values().filter(|member| member.joining.is_none()).map(|member| member.expires);
        sessions.chain(consumers).chain(self.pending.values().copied()).chain(self.deadline).min()
    }

    /// The assigning took too long: who did not ask for an assignment is out, the others begin anew.
    fn drop_unsynced(&mut self, now: Instant) {
        let out: Vec<String> =
            self.members.values().filter(|member| !member.synced).map(|member| member.id.clone()).collect();
        if out.is_empty() {
            self.prepare(now, Duration::ZERO);
            return;
        }
        for id in out {
            self.remove(&id, now);
        }
    }

    /// Whether nothing of it is worth keeping.
    pub(crate) fn is_vacant(&self) -> bool {
        self.members.is_empty()
            && self.pending.is_empty()
            && self.offsets.is_empty()
            && self.undecided.is_empty()
            && self.queued.is_empty()
            && !self.has_consumers()
    }

    /// Whether members of KIP-848 are in it.
    pub(crate) fn has_consumers(&self) -> bool {
        self.consumers.as_ref().is_some_and(|consumers| !consumers.members.is_empty())
    }
}

/// Milliseconds of the wire as a duration; negative is zero.
pub(crate) fn millis(value: i32) -> Duration {
    Duration::from_millis(crate::num::u64_of(i64::from(value)))
}
