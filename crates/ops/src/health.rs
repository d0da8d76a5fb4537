//! What is wrong with a cluster as the backbone needs it, and for each finding what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use contracts::topics::{TopicSpec, required_topics};
use eventkit::Clock;
use eventkit::transport::Record;
use eventkit::transport::kafka::KafkaWriter;
use eventkit::transport::kafka::admin::{Cluster, NewTopicSpec, Setting};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::groups::{Description, Position};
use crate::kafka::{Kafka, find};

/// A clock that is off by more confuses times of events and of tokens.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);
/// The topic that the broker's clock is read through; it exists for that moment only.
const CLOCK_TOPIC: &str = "techleet-doctor-clock";

/// Kafka's name for how long records are kept.
const RETENTION: &str = "retention.ms";

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Could not be checked, or deserves a look.
    Warning,
    /// Something does not work, or will not.
    Wrong,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, message: message.into(), advice: None }
    }

    /// Something that deserves a look.
    pub fn warning(check: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Warning, advice: Some(advice.into()), ..Self::ok(check, message) }
    }

    /// Something is wrong.
    pub fn wrong(check: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Wrong, ..Self::warning(check, message, advice) }
    }
}

/// Where the groups stood at some moment.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<Description>);

impl Sample {
    /// Whether any group has something to read.
    #[must_use]
    pub fn is_any_behind(&self) -> bool {
        self.0.iter().flat_map(|group| &group.partitions).any(|position| position.lag.is_some_and(|lag| lag > 0))
    }
}

impl Kafka {
    /// Checks that a broker answers; with the rest of the cluster for further checks if one does.
    pub async fn check_broker(&self) -> (Finding, Option<Cluster>) {
        match self.cluster().await {
            Ok(cluster) => {
                let brokers: Vec<String> =
                    cluster.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect();
                (Finding::ok("broker", format!("answers: {}", brokers.join(", "))), Some(cluster))
            }
            Err(error) => {
                let advice = "start one with `techleet up` or `techleet broker`, or name yours with KAFKA_BROKERS";
                (Finding::wrong("broker", error.to_string(), advice), None)
            }
        }
    }

    /// Checks that every topic of the backbone is there, with its partitions and its retention.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn check_topics(&self, cluster: &Cluster) -> Result<Vec<Finding>> {
        let required = required_topics();
        let names: Vec<String> = required.iter().map(|spec| spec.name.clone()).collect();
        let present: Vec<String> = names.into_iter().filter(|name| find(cluster, name).is_ok()).collect();
        let settings = self.admin.topic_settings(&present).await?;
        let mut findings = Vec::new();
        for spec in &required {
            let found = find(cluster, &spec.name).ok();
            let retention = settings.get(&spec.name).and_then(|settings| value_of(settings, RETENTION));
            findings.extend(check_topic(spec, found.map(|topic| topic.partitions.len()), retention));
            let leaderless = found.is_some_and(|topic| topic.partitions.iter().any(|part| part.leader.is_none()));
            if leaderless {
                let advice = "start the broker that has it; until then nobody can read or write there";
                findings.push(Finding::wrong(format!("topic {}", spec.name), "a partition has no leader", advice));
            }
        }
        if findings.is_empty() {
            let message = format!("all {} are there, with their partitions and retention", required.len());
            findings.push(Finding::ok("topics", message));
        }
        Ok(findings)
    }

    /// Whether these topics are there, as far as this client may see.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn has_topics(&self, names: &[String]) -> Result<bool> {
        let cluster = self.cluster().await?;
        Ok(names.iter().all(|name| find(&cluster, name).is_ok()))
    }

    /// Lets topics of the backbone keep records for as long as the table says, where they keep them for less. What is
    /// kept for longer stays: shortening deletes. Answers which were changed.
    ///
    /// # Errors
    /// The cluster refuses it or does not answer.
    pub async fn lengthen_retention(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let required = required_topics();
        let present: Vec<String> =
            required.iter().map(|spec| spec.name.clone()).filter(|name| find(cluster, name).is_ok()).collect();
        let settings = self.admin.topic_settings(&present).await?;
        let mut lengthened = Vec::new();
        for spec in required {
            let Some(wanted) = spec.settings.get(RETENTION) else { continue };
            let found = settings.get(&spec.name).and_then(|settings| value_of(settings, RETENTION));
            if found.is_some_and(|found| keeps_ms(found) < keeps_ms(wanted)) {
                let change = BTreeMap::from([(RETENTION.to_owned(), wanted.clone())]);
                self.admin.alter_topic_settings(&spec.name, &change).await?;
                lengthened.push(spec.name);
            }
        }
        Ok(lengthened)
    }

    /// Where the groups stand now.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn sample_groups(&self) -> Result<Sample> {
        let mut sample = Vec::new();
        for group in self.admin.groups(None).await? {
            match self.describe_group(&group.id).await {
                Ok(description) => sample.push(description),
                // It ended in between.
                Err(Error::NoGroup { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Sample(sample))
    }

    /// Compares this machine's clock with the broker's.
    ///
    /// # Errors
    /// The probe is refused, or the cluster does not answer.
    pub async fn check_clock(&self, clock: &Clock) -> Result<Finding> {
        let settings = BTreeMap::from([("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())]);
        let spec = NewTopicSpec { name: CLOCK_TOPIC.to_owned(), partitions: Some(1), replicas: None, settings };
        // One that an earlier probe left serves as well.
        let created = self.admin.create_topic(&spec, false).await;
        let probed = self.probe_clock(clock).await;
        let removed = self.admin.delete_topic(CLOCK_TOPIC).await;
        let (earlier, told, later) = match (probed, created) {
            (Ok(probed), _) => probed,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error.into()),
        };
        if let Err(error) = removed {
            tracing::warn!(
                error = eventkit::chain(&error),
                topic = CLOCK_TOPIC,
                "topic of the clock check is left over"
            );
        }
        let Some(told) = told else {
            let advice = "compare the two machines' clocks by other means, for example `chronyc tracking`";
            return Ok(Finding::warning("clock", "the broker does not tell its time", advice));
        };
        // The truth lies somewhere between asking and hearing.
        let skew_ms = if told < earlier { told - earlier } else { (told - later).max(0) };
        let skew = format!("{skew_ms:+} ms from this machine's");
        if skew_ms.unsigned_abs() > u64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap_or(u64::MAX) {
            let advice = "keep both machines on network time (chrony, systemd-timesyncd)";
            return Ok(Finding::wrong("clock", format!("the broker's is {skew}"), advice));
        }
        Ok(Finding::ok("clock", "agrees with the broker's"))
    }

    /// The time before, the broker's, and the time after.
    async fn probe_clock(&self, clock: &Clock) -> eventkit::Result<(i64, Option<i64>, i64)> {
        let writer = KafkaWriter::new(&self.config, &[])?;
        let value = Some(Bytes::from_static(b"{}"));
        let record =
            Record { topic: CLOCK_TOPIC.to_owned(), key: None, value, headers: Vec::new(), timestamp_ms: None };
        // The first record also waits for the connection and the metadata.
        writer.send(&record, Some(0)).await?.acknowledged().await?;
        let earlier = clock.now_ms();
        let acknowledged = writer.send(&record, Some(0)).await?.acknowledged().await;
        let later = clock.now_ms();
        tokio::task::spawn_blocking(move || drop(writer));
        Ok((earlier, acknowledged?.timestamp_ms, later))
    }
}

fn value_of<'a>(settings: &'a [Setting], name: &str) -> Option<&'a str> {
    settings.iter().find(|setting| setting.name == name)?.value.as_deref()
}

/// How long a value of [`RETENTION`] keeps records; a negative one is for ever.
fn keeps_ms(value: &str) -> i64 {
    value.parse().ok().filter(|ms| *ms >= 0).unwrap_or(i64::MAX)
}

/// What is wrong with a topic; nothing if all is well.
fn check_topic(spec: &TopicSpec, partitions: Option<usize>, retention_ms: Option<&str>) -> Vec<Finding> {
    let check = format!("topic {}", spec.name);
    let mut findings = Vec::new();
    let Some(found) = partitions else {
        let settings: String = spec.settings.iter().map(|(name, value)| format!(" --setting {name}={value}")).collect();
        let create = format!("techleet topics create {} --partitions {}{settings}", spec.name, spec.partitions);
        let advice = format!("`techleet up` creates it; or: {create}");
        return vec![Finding::wrong(check, "is missing", advice)];
    };
    if usize::try_from(spec.partitions) != Ok(found) {
        let advice = match usize::try_from(spec.partitions).is_ok_and(|wanted| wanted > found) {
            true => format!(
                "techleet topics alter {} --partitions {}; keys move to other partitions then, and an event may overtake \
                 an earlier one of its key: let the consumers read to the end first",
                spec.name, spec.partitions
            ),
            false => format!(
                "partitions cannot become fewer: stop the services, copy what is needed, delete it and create it with {}",
                spec.partitions
            ),
        };
        findings.push(Finding::wrong(&check, format!("has {found} partitions, not {}", spec.partitions), advice));
    }
    let wanted = spec.settings.get(RETENTION).map(String::as_str);
    if retention_ms != wanted {
        let message = format!(
            "keeps records for {} ms, not {}",
            retention_ms.unwrap_or("an unknown number of"),
            wanted.unwrap_or("for ever")
        );
        let advice = format!(
            "techleet topics alter {} --setting {RETENTION}={}; what is older than the retention is deleted",
            spec.name,
            wanted.unwrap_or("-1")
        );
        findings.push(Finding::wrong(&check, message, advice));
    }
    findings
}

/// What two samples of the groups tell: who lags without anybody reading, and who reads without getting on.
#[must_use]
pub fn check_groups(earlier: &Sample, later: &Sample, apart: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &later.0 {
        let check = format!("group {}", group.id);
        let lag: i64 = group.partitions.iter().filter_map(|position| position.lag).sum();
        if lag > 0 && group.members.is_empty() {
            let advice =
                format!("start its consumer; or, if it is not used any more: techleet groups delete {}", group.id);
            findings.push(Finding::wrong(check, format!("is behind by {lag} and nobody reads for it"), advice));
            continue;
        }
        let stalled: BTreeSet<String> = group
            .partitions
            .iter()
            .filter(|position| position.lag.is_some_and(|lag| lag > 0) && !has_moved(earlier, &group.id, position))
            .map(|position| format!("{}-{}", position.topic, position.partition))
            .collect();
        if !stalled.is_empty() {
            let stalled = stalled.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("is behind by {lag} and did not get on for {apart:?} in {stalled}");
            let advice = "look at /health/ready and at the log of its service: an event may be retried there";
            findings.push(Finding::wrong(check, message, advice));
        } else if lag > 0 {
            let advice = "look again in a minute; if it grows, start another copy of the service";
            findings.push(Finding::warning(check, format!("is behind by {lag} and getting on"), advice));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("groups", "none is behind"));
    }
    findings
}

/// Whether the group stood elsewhere in this partition before.
fn has_moved(earlier: &Sample, group: &str, position: &Position) -> bool {
    let before = earlier.0.iter().find(|before| before.id == group);
    let before = before.and_then(|before| {
        before.partitions.iter().find(|old| old.topic == position.topic && old.partition == position.partition)
    });
    // What was not behind before cannot have stalled since.
    before.is_none_or(|old| old.committed != position.committed || old.lag == Some(0))
}
