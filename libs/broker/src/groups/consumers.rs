//! The members of a group of KIP-848: the broker shares the partitions and leads each member to its share, heartbeat by
//! heartbeat. No I/O and no clock of its own, as `group`.
//!
//! A partition is given to a member only when nobody else has it: who is to give it up says so first, or is fenced.
//! The group's epoch rises with every change of members, wishes or partitions; a member's epoch is the group's as soon
//! as it has nothing left to give up.

pub(crate) mod kept;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use regex::{Regex, RegexBuilder};
use tokio::time::Instant;
use uuid::Uuid;

use crate::groups::assignors::{Assignor, Parts, Reader};
use crate::groups::membership::{GROUP_BYTES_MAX, MEMBER_BYTES_MAX, kept_bytes};

/// The epoch of a request that leaves for good.
pub(crate) const LEAVING: i32 = -1;
/// The epoch of a static member that is away and will be back.
pub(crate) const AWAY: i32 = -2;
/// Memory that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Topics as they are now: name, id, partitions; sorted by name.
pub(crate) type World = Vec<(Arc<str>, Uuid, i32)>;

/// The members and what they are to read.
#[derive(Debug)]
pub(crate) struct Consumers {
    pub(crate) epoch: i32,
    pub(crate) assignor: Assignor,
    pub(crate) members: BTreeMap<String, Consumer>,
    /// When the group had members, in the broker's time.
    pub(crate) alive_ms: i64,
    /// Whether anything that is kept is not as it was when somebody last looked.
    pub(crate) changed: bool,
    /// Member id of each static instance.
    instances: HashMap<String, String>,
    world: World,
    /// Partitions of the topics that anybody reads.
    topics: BTreeMap<Uuid, i32>,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) epoch: i32,
    pub(crate) names: BTreeSet<String>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) assigned: Parts,
    pub(crate) target: Parts,
    /// What it was told to give up and has not yet.
    revoking: Parts,
    previous_epoch: i32,
    rebalance_timeout: Duration,
    assignor: Option<Assignor>,
    /// The topics that it reads.
    subscribed: BTreeSet<Uuid>,
    expires: Instant,
    /// When it must have given up what it was told to.
    revoke_by: Option<Instant>,
}

/// A subscription by pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    compiled: Regex,
}

/// A heartbeat as the wire has it; `None` means that nothing changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beat {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout: Option<Duration>,
    pub(crate) names: Option<BTreeSet<String>>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<String>,
    pub(crate) owned: Option<Parts>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beaten {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    /// Set if the member cannot know it.
    pub(crate) assignment: Option<Parts>,
}

/// Why a heartbeat is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: ResponseError,
    pub(crate) message: &'static str,
}

/// What members are allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) members_max: usize,
    pub(crate) session_timeout: Duration,
}

fn refuse<T>(error: ResponseError, message: &'static str) -> Result<T, Refused> {
    Err(Refused { error, message })
}

impl Consumers {
    pub(crate) fn new() -> Self {
        Self {
            epoch: 0,
            assignor: Assignor::Uniform,
            members: BTreeMap::new(),
            alive_ms: 0,
            changed: false,
            instances: HashMap::new(),
            world: World::new(),
            topics: BTreeMap::new(),
        }
    }

    /// Kafka's name for where the group stands.
    pub(crate) fn state(&self) -> &'static str {
        match &self.members {
            members if members.is_empty() => "Empty",
            members if members.values().all(|member| member.is_settled(self.epoch)) => "Stable",
            _ => "Reconciling",
        }
    }

    /// A member says that it is there, what it wants and what it has; it is told what it is to read.
    pub(crate) fn heartbeat(
        &mut self,
        beat: Beat,
        allowed: Allowed,
        world: World,
        now: Instant,
    ) -> Result<Beaten, Refused> {
        if beat.epoch < 0 {
            return self.leave(&beat, allowed, now);
        }
        self.check_bytes(&beat)?;
        let pattern = compile(beat.pattern.as_deref())?;
        let assignor = match beat.assignor.as_deref() {
            Some(name) => match Assignor::named(name) {
                Some(assignor) => Some(assignor),
                None => return refuse(ResponseError::UnsupportedAssignor, "there are uniform and range"),
            },
            None => None,
        };
        let (id, is_new) = if beat.epoch == 0 {
            self.enter(&beat, pattern.is_some(), allowed, now)?
        } else {
            self.check(&beat)?;
            (beat.member_id.clone(), false)
        };
        let full =
            beat.epoch == 0 || (beat.names.is_some() && beat.owned.is_some() && beat.rebalance_timeout.is_some());
        // Whoever joins has nothing, also if it does not say so.
        let owned = if beat.epoch == 0 { Some(Parts::new()) } else { beat.owned.clone() };
        let Some(member) = self.members.get_mut(&id) else {
            return refuse(ResponseError::UnknownMemberId, "there is no such member");
        };
        member.expires = now + allowed.session_timeout;
        let wishes = member.take_wishes(beat, pattern, assignor);
        let (before, stood) = (member.assigned.clone(), member.standing());
        if wishes || is_new || self.world != world {
            let topics = self.resolve(world);
            if wishes || is_new || topics {
                self.retarget();
            }
        }
        self.reconcile(&id, owned.as_ref(), now);
        let member = self.members.get(&id);
        let stands = member.map(Consumer::standing);
        self.changed |= full || wishes || is_new || stands != Some(stood);
        let (epoch, assigned) = member.map_or((0, Parts::new()), |member| (member.epoch, member.assigned.clone()));
        let assignment = (full || assigned != before).then_some(assigned);
        Ok(Beaten { member_id: id, epoch, assignment })
    }

    /// Whether this is a member at its present epoch.
    pub(crate) fn check_committer(&self, member_id: &str, epoch: i32) -> Result<(), ResponseError> {
        let member = self.members.get(member_id).ok_or(ResponseError::UnknownMemberId)?;
        if member.epoch == epoch { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// The topics that any member reads.
    pub(crate) fn read_topics(&self) -> HashSet<String> {
        let read = self.world.iter().filter(|(_, id, _)| self.topics.contains_key(id));
        read.map(|(name, _, _)| name.to_string()).collect()
    }

    /// Takes out whoever was not heard of or did not give up in time; returns when to look again.
    pub(crate) fn tend(&mut self, now: Instant) -> Option<Instant> {
        let due = |member: &Consumer| member.expires.min(member.revoke_by.unwrap_or(member.expires));
        let gone = self.members.iter().filter(|(_, member)| due(member) <= now);
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        for id in &gone {
            tracing::debug!(member = %id, "member of a consumer group is fenced");
            self.remove(id);
        }
        if !gone.is_empty() {
            self.retarget();
        }
        self.members.values().map(due).min()
    }

    /// Whether what a member says of itself, and all of them together, is not too much to be kept.
    fn check_bytes(&self, beat: &Beat) -> Result<(), Refused> {
        let said = kept_bytes(beat.names.iter().flatten().chain(&beat.pattern).map(String::len));
        if said > MEMBER_BYTES_MAX {
            return refuse(ResponseError::InvalidRequest, "a member says more of itself than is kept");
        }
        let others = self.members.iter().filter(|(id, _)| **id != beat.member_id);
        let others = others.map(|(_, member)| member.kept_bytes()).fold(0, usize::saturating_add);
        if others.saturating_add(said) > GROUP_BYTES_MAX {
            return refuse(ResponseError::GroupMaxSizeReached, "the members say more of themselves than is kept");
        }
        Ok(())
    }

    /// A member comes, or comes back; answers its id and whether the group has to share anew.
    fn enter(
        &mut self,
        beat: &Beat,
        by_pattern: bool,
        allowed: Allowed,
        now: Instant,
    ) -> Result<(String, bool), Refused> {
        if beat.names.is_none() && !by_pattern {
            return refuse(ResponseError::InvalidRequest, "a member that joins says what it reads");
        }
        if beat.rebalance_timeout.is_none_or(|timeout| timeout.is_zero()) {
            return refuse(ResponseError::InvalidRequest, "a member that joins says its rebalance timeout");
        }
        if beat.owned.as_ref().is_some_and(|owned| !owned.is_empty()) {
            return refuse(ResponseError::InvalidRequest, "a member that joins has no partitions");
        }
        let id = if beat.member_id.is_empty() { Uuid::now_v7().to_string() } else { beat.member_id.clone() };
        let old = beat.instance.as_ref().and_then(|instance| self.instances.get(instance)).cloned();
        if let Some(old) = old.filter(|old| *old != id) {
            if self.members.get(&old).is_some_and(|member| member.epoch != AWAY) {
                return refuse(ResponseError::UnreleasedInstanceId, "another member has this instance id");
            }
            if let Some(member) = self.members.remove(&old) {
                self.forget_instance(&id);
                self.members.insert(id.clone(), member);
            }
        }
        if !self.members.contains_key(&id) && self.members.len() >= allowed.members_max {
            return refuse(ResponseError::GroupMaxSizeReached, "the group has as many members as it may have");
        }
        if let Some(instance) = &beat.instance {
            self.forget_instance(&id);
            self.instances.insert(instance.clone(), id.clone());
        }
        if let Some(member) = self.members.get_mut(&id) {
            (member.epoch, member.previous_epoch) = (0, 0);
            member.revoking.clear();
            member.revoke_by = None;
            return Ok((id, false));
        }
        self.members.insert(id.clone(), Consumer::new(now + allowed.session_timeout));
        Ok((id, true))
    }

    /// Frees the instance that a member was until now.
    fn forget_instance(&mut self, id: &str) {
        let instance = self.members.get(id).and_then(|member| member.instance.as_ref());
        if let Some(instance) = instance.filter(|instance| self.instances.get(*instance).is_some_and(|of| of == id)) {
            self.instances.remove(instance);
        }
    }

    /// Whether a heartbeat is that of a member at an epoch which it can know.
    fn check(&self, beat: &Beat) -> Result<(), Refused> {
        let Some(member) = self.members.get(&beat.member_id) else {
            return refuse(ResponseError::UnknownMemberId, "there is no such member");
        };
        if let Some(instance) = &beat.instance
            && self.instances.get(instance) != Some(&beat.member_id)
        {
            return refuse(ResponseError::FencedInstanceId, "another member has this instance id");
        }
        let has_only_its_own = beat.owned.as_ref().is_some_and(|owned| owned.is_subset(&member.assigned));
        let missed_an_answer = beat.epoch == member.previous_epoch && has_only_its_own;
        if beat.epoch != member.epoch && !missed_an_answer {
            return refuse(ResponseError::FencedMemberEpoch, "the member is at another epoch");
        }
        Ok(())
    }

    fn leave(&mut self, beat: &Beat, allowed: Allowed, now: Instant) -> Result<Beaten, Refused> {
        let Some(member) = self.members.get_mut(&beat.member_id) else {
            return refuse(ResponseError::UnknownMemberId, "there is no such member");
        };
        if beat.instance.is_some() && member.instance != beat.instance {
            return refuse(ResponseError::FencedInstanceId, "the member has another instance id");
        }
        match beat.epoch {
            AWAY if member.instance.is_some() => {
                member.epoch = AWAY;
                member.expires = now + allowed.session_timeout;
                self.changed = true;
            }
            LEAVING => {
                self.remove(&beat.member_id);
                self.retarget();
            }
            _ => return refuse(ResponseError::InvalidRequest, "no member has such an epoch"),
        }
        Ok(Beaten { member_id: beat.member_id.clone(), epoch: beat.epoch, assignment: None })
    }

    fn remove(&mut self, id: &str) {
        self.changed = true;
        if let Some(instance) = self.members.remove(id).and_then(|member| member.instance) {
            self.instances.remove(&instance);
        }
    }

    /// Finds what members read among the topics that there are; says whether that changed.
    fn resolve(&mut self, world: World) -> bool {
        let mut topics = BTreeMap::new();
        let mut changed = false;
        for member in self.members.values_mut() {
            let wanted = world.iter().filter(|(name, _, _)| member.wants(name));
            let wanted: Vec<(Uuid, i32)> = wanted.map(|(_, id, partitions)| (*id, *partitions)).collect();
            let subscribed: BTreeSet<Uuid> = wanted.iter().map(|(id, _)| *id).collect();
            changed |= subscribed != member.subscribed;
            member.subscribed = subscribed;
            topics.extend(wanted);
        }
        changed |= topics != self.topics;
        self.topics = topics;
        self.world = world;
        changed
    }

    /// Shares the partitions anew, at a new epoch.
    fn retarget(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.changed = true;
        self.elect();
        let readers: Vec<Reader<'_>> = self
            .members
            .iter()
            .map(|(id, member)| Reader {
                id: member.instance.as_deref().unwrap_or(id),
                topics: &member.subscribed,
                target: &member.target,
            })
            .collect();
        let shares = self.assignor.share(&readers, &self.topics);
        for (member, share) in self.members.values_mut().zip(shares) {
            member.target = share;
        }
        metrics::counter!(crate::metrics::REBALANCES).increment(1);
    }

    /// The assignor that most members want.
    fn elect(&mut self) {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        self.assignor = votes.into_iter().max_by_key(|(_, count)| *count).map_or(Assignor::Uniform, |(most, _)| most);
    }

    /// Leads a member a step towards its target: first it gives up, then it gets what nobody else has.
    fn reconcile(&mut self, id: &str, owned: Option<&Parts>, now: Instant) {
        let held: Parts = {
            let others = self.members.iter().filter(|(other, _)| *other != id);
            others.flat_map(|(_, member)| member.assigned.union(&member.revoking)).copied().collect()
        };
        let epoch = self.epoch;
        let Some(member) = self.members.get_mut(id) else { return };
        let has_given_up = |revoking: &Parts| owned.is_some_and(|owned| owned.is_disjoint(revoking));
        if !member.revoking.is_empty() && has_given_up(&member.revoking) {
            member.revoking.clear();
            member.revoke_by = None;
        }
        if !member.revoking.is_empty() {
            return;
        }
        let excess: Parts = member.assigned.difference(&member.target).copied().collect();
        if !excess.is_empty() {
            member.assigned.retain(|part| !excess.contains(part));
            if !has_given_up(&excess) {
                member.revoking = excess;
                member.revoke_by = Some(now + member.rebalance_timeout);
                return;
            }
        }
        member.assigned.extend(member.target.iter().filter(|part| !held.contains(*part)));
        if member.epoch != epoch {
            member.previous_epoch = member.epoch;
            member.epoch = epoch;
        }
    }
}

impl Consumer {
    fn new(expires: Instant) -> Self {
        Self {
            instance: None,
            rack: None,
            client_id: String::new(),
            client_host: String::new(),
            epoch: 0,
            names: BTreeSet::new(),
            pattern: None,
            assigned: Parts::new(),
            target: Parts::new(),
            revoking: Parts::new(),
            previous_epoch: 0,
            rebalance_timeout: Duration::ZERO,
            assignor: None,
            subscribed: BTreeSet::new(),
            expires,
            revoke_by: None,
        }
    }

    /// Notes what a heartbeat says; answers whether the group has to share anew.
    fn take_wishes(&mut self, beat: Beat, pattern: Option<Pattern>, assignor: Option<Assignor>) -> bool {
        self.instance = beat.instance.or(self.instance.take());
        self.rack = beat.rack.or(self.rack.take());
        (self.client_id, self.client_host) = (beat.client_id, beat.client_host);
        self.rebalance_timeout = beat.rebalance_timeout.unwrap_or(self.rebalance_timeout);
        let mut changed = false;
        if let Some(names) = beat.names {
            changed |= names != self.names;
            self.names = names;
        }
        if let Some(pattern) = pattern {
            let text = |pattern: &Pattern| pattern.text.clone();
            let pattern = Some(pattern).filter(|pattern| !pattern.text.is_empty());
            changed |= pattern.as_ref().map(text) != self.pattern.as_ref().map(text);
            self.pattern = pattern;
        }
        if assignor.is_some() {
            changed |= assignor != self.assignor;
            self.assignor = assignor;
        }
        changed
    }

    /// How far it has come.
    fn standing(&self) -> (i32, i32, Parts, Parts) {
        (self.epoch, self.previous_epoch, self.assigned.clone(), self.revoking.clone())
    }

    /// Bytes of what it said of itself.
    fn kept_bytes(&self) -> usize {
        let pattern = self.pattern.as_ref().map(|pattern| pattern.text.len());
        kept_bytes(self.names.iter().map(String::len).chain(pattern))
    }

    fn wants(&self, topic: &str) -> bool {
        self.names.contains(topic) || self.pattern.as_ref().is_some_and(|pattern| pattern.compiled.is_match(topic))
    }

    /// Whether it is where it is to be.
    fn is_settled(&self, epoch: i32) -> bool {
        self.epoch == epoch && self.assigned == self.target && self.revoking.is_empty()
    }
}

/// A pattern that a whole name must match.
fn compile(text: Option<&str>) -> Result<Option<Pattern>, Refused> {
    let Some(text) = text else { return Ok(None) };
    let compiled = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_BYTES_MAX).build();
    match compiled {
        Ok(compiled) => Ok(Some(Pattern { text: text.to_owned(), compiled })),
        Err(_) => refuse(ResponseError::InvalidRegularExpression, "the pattern cannot be read"),
    }
}

#[cfg(test)]
mod tests;
