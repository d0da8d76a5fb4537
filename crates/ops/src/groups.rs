//! Consumer groups: who reads what, how far behind they are, moving and removing them.

use std::collections::BTreeMap;

use eventkit::transport::TopicPartition;
use eventkit::transport::kafka::admin::{Cluster, Committed, Group, OffsetAt};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::kafka::{Kafka, find, partitions_of};

/// What a coordinator says of a group that is not there.
const DEAD: &str = "Dead";

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// `Stable` with members at work, `Empty` without members, or something in between.
    pub state: String,
    /// The number of its members.
    pub members: usize,
    /// The topics it has offsets in or is reading.
    pub topics: Vec<String>,
    /// Records it has still to read, over all partitions with an offset.
    pub lag: i64,
}

/// A group as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Its id.
    pub id: String,
    /// As in [`Summary::state`].
    pub state: String,
    /// How partitions are shared out; empty while nothing is.
    pub assignor: String,
    /// Its members.
    pub members: Vec<Member>,
    /// The partitions it has an offset in or is reading.
    pub partitions: Vec<Position>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: String,
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// The number of partitions it reads.
    pub partitions: usize,
}

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset that the group wants; nothing before its first commit.
    pub committed: Option<i64>,
    /// The offset that the next record will have.
    pub end: Option<i64>,
    /// Records between the two; before the first commit, all that there are.
    pub lag: Option<i64>,
    /// The id of the member that reads it.
    pub member: Option<String>,
    /// What that member calls itself.
    pub client_id: Option<String>,
    /// Where that member connects from.
    pub host: Option<String>,
}

/// Which partitions are to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that the group has an offset in.
    Committed,
    /// These topics: all partitions of each, or some.
    Topics(Vec<(String, Option<Vec<i32>>)>),
}

/// Where a group is to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At the oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// Where it stands: a commit that keeps offsets from expiring; at the end where it has none.
    Current,
    /// At this offset.
    Offset(i64),
    /// At the first record at or after this time, in milliseconds since 1970.
    Time(i64),
    /// So many records further on; back when negative.
    ShiftBy(i64),
    /// At an offset for each partition; others stay.
    Offsets(BTreeMap<TopicPartition, i64>),
}

/// A move of a group in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where it stands.
    pub from: Option<i64>,
    /// Where it is to go on.
    pub to: i64,
}

/// A group with everything known of where it stands.
struct Standing {
    group: Group,
    committed: BTreeMap<TopicPartition, Committed>,
    begins: BTreeMap<TopicPartition, i64>,
    ends: BTreeMap<TopicPartition, i64>,
}

impl Kafka {
    /// Every group with its lag.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn list_groups(&self) -> Result<Vec<Summary>> {
        let cluster = self.cluster().await?;
        let mut groups = Vec::new();
        for group in self.admin.groups(None).await? {
            let standing = self.standing(&cluster, group).await?;
            let positions = positions(&standing);
            let mut topics: Vec<String> = positions.iter().map(|position| position.topic.clone()).collect();
            topics.dedup();
            groups.push(Summary {
                lag: positions.iter().filter_map(|position| position.lag).sum(),
                topics,
                members: standing.group.members.len(),
                id: standing.group.id,
                state: standing.group.state,
            });
        }
        Ok(groups)
    }

    /// One group with its members and where it stands.
    ///
    /// # Errors
    /// There is none of this id, or the cluster does not answer.
    pub async fn describe_group(&self, id: &str) -> Result<Description> {
        let cluster = self.cluster().await?;
        let group = self.group(id).await?;
        let standing = self.standing(&cluster, group).await?;
        let partitions = positions(&standing);
        let members = standing.group.members.into_iter().map(|member| Member {
            id: member.id,
            client_id: member.client_id,
            host: member.host,
            partitions: member.partitions.len(),
        });
        Ok(Description {
            members: members.collect(),
            partitions,
            id: standing.group.id,
            state: standing.group.state,
            assignor: standing.group.assignor,
        })
    }

    /// What moving a group would do. A group that is not there yet can be given offsets too.
    ///
    /// # Errors
    /// The group has members or no offsets to move, a topic or partition is not there, or the cluster does not answer.
    pub async fn plan_reset(&self, id: &str, scope: &Scope, target: &Target) -> Result<Vec<Move>> {
        let cluster = self.cluster().await?;
        let members = self.admin.groups(Some(id)).await?.into_iter().find(|group| group.id == id);
        if members.is_some_and(|group| !group.members.is_empty()) {
            return Err(Error::GroupInUse { group: id.to_owned() });
        }
        let all: Vec<TopicPartition> = cluster.topics.iter().flat_map(partitions_of).collect();
        let committed = self.admin.committed(id, &all).await?;
        let mut places = match scope {
            Scope::Committed => committed.keys().cloned().collect(),
            Scope::Topics(topics) => named(&cluster, topics)?,
        };
        if let (Scope::Committed, Target::Offsets(offsets)) = (scope, target) {
            places = offsets.keys().cloned().collect();
        }
        if places.is_empty() {
            return Err(Error::NothingToMove { group: id.to_owned() });
        }
        let goals = self.goals(&places, &committed, target).await?;
        let plan = places.into_iter().filter_map(|place| {
            let to = *goals.get(&place)?;
            let from = committed.get(&place).map(|committed| committed.offset);
            Some(Move { topic: place.topic, partition: place.partition, from, to })
        });
        Ok(plan.collect())
    }

    /// Moves a group as planned.
    ///
    /// # Errors
    /// The group has got members, or the cluster refuses it or does not answer.
    pub async fn reset_group(&self, id: &str, plan: &[Move]) -> Result<()> {
        let place = |step: &Move| TopicPartition { topic: step.topic.clone(), partition: step.partition };
        let offsets = plan.iter().map(|step| (place(step), step.to)).collect();
        Ok(self.admin.commit(id, &offsets).await?)
    }

    /// Deletes a group without members, and its offsets.
    ///
    /// # Errors
    /// There is none of this id, it has members, or the cluster does not answer.
    pub async fn delete_group(&self, id: &str) -> Result<()> {
        self.cluster().await?;
        if !self.group(id).await?.members.is_empty() {
            return Err(Error::GroupInUse { group: id.to_owned() });
        }
        Ok(self.admin.delete_group(id).await?)
    }

    /// The group of this id.
    pub(crate) async fn group(&self, id: &str) -> Result<Group> {
        let found = self.admin.groups(Some(id)).await?.into_iter().find(|group| group.id == id && group.state != DEAD);
        found.ok_or_else(|| Error::NoGroup { group: id.to_owned() })
    }

    async fn standing(&self, cluster: &Cluster, group: Group) -> Result<Standing> {
        // Nobody tells for which partitions a group has offsets; so all are asked for.
        let all: Vec<TopicPartition> = cluster.topics.iter().flat_map(partitions_of).collect();
        let committed = self.admin.committed(&group.id, &all).await?;
        let reading = group.members.iter().flat_map(|member| &member.partitions);
        let mut places: Vec<TopicPartition> = committed.keys().chain(reading).cloned().collect();
        places.sort();
        places.dedup();
        places.retain(|place| all.contains(place));
        let ends = self.admin.offsets(&places, OffsetAt::End).await?;
        places.retain(|place| !committed.contains_key(place));
        let begins = self.admin.offsets(&places, OffsetAt::Beginning).await?;
        Ok(Standing { group, committed, begins, ends })
    }

    /// Where each partition is to go on, within what there is.
    async fn goals(
        &self,
        places: &[TopicPartition],
        committed: &BTreeMap<TopicPartition, Committed>,
        target: &Target,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        let low = self.admin.offsets(places, OffsetAt::Beginning).await?;
        let high = self.admin.offsets(places, OffsetAt::End).await?;
        let at_time = match target {
            Target::Time(time_ms) => self.admin.offsets(places, OffsetAt::Time(*time_ms)).await?,
            _ => BTreeMap::new(),
        };
        let mut goals = BTreeMap::new();
        for place in places {
            let (Some(low), Some(high)) = (low.get(place), high.get(place)) else { continue };
            let standing = committed.get(place).map(|committed| committed.offset);
            let wanted = match target {
                Target::Earliest => Some(*low),
                Target::Latest => Some(*high),
                Target::Current => standing.or(Some(*high)),
                Target::Offset(offset) => Some(*offset),
                Target::Time(_) => at_time.get(place).copied(),
                Target::ShiftBy(by) => standing.map(|offset| offset.saturating_add(*by)),
                Target::Offsets(offsets) => offsets.get(place).copied(),
            };
            if let Some(wanted) = wanted {
                goals.insert(place.clone(), wanted.clamp(*low, *high));
            }
        }
        Ok(goals)
    }
}

fn named(cluster: &Cluster, topics: &[(String, Option<Vec<i32>>)]) -> Result<Vec<TopicPartition>> {
    let mut places = Vec::new();
    for (name, partitions) in topics {
        let all = partitions_of(find(cluster, name)?);
        match partitions {
            None => places.extend(all),
            Some(some) => {
                for partition in some {
                    let place = all.iter().find(|place| place.partition == *partition);
                    let missing = || Error::NoPartition { topic: name.clone(), partition: *partition };
                    places.push(place.ok_or_else(missing)?.clone());
                }
            }
        }
    }
    places.sort();
    places.dedup();
    Ok(places)
}

fn positions(standing: &Standing) -> Vec<Position> {
    let reads =
        |member: &eventkit::transport::kafka::admin::Member, place: &TopicPartition| member.partitions.contains(place);
    standing
        .ends
        .iter()
        .map(|(place, end)| {
            let member = standing.group.members.iter().find(|member| reads(member, place));
            let committed = standing.committed.get(place).map(|committed| committed.offset);
            Position {
                topic: place.topic.clone(),
                partition: place.partition,
                committed,
                end: Some(*end),
                lag: committed.or(standing.begins.get(place).copied()).map(|next| (end - next).max(0)),
                member: member.map(|member| member.id.clone()),
                client_id: member.map(|member| member.client_id.clone()),
                host: member.map(|member| member.host.clone()),
            }
        })
        .collect()
}
