//! kill -9 at every failpoint of the running backbone: what was answered came true, once.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use e2e::ground::Ground;
use e2e::load::{Answers, Load};
use e2e::promises::{self, arrived};
use e2e::soak;
use e2e::system::{Layout, System, UP};
use eventkit::failpoint;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::{GroupStart, Interest, Record, Transport};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::json;

use crate::background::LIBRARIES;
use crate::topics::read_until;

const SEED: u64 = 23;
/// The groups with an effect on every employee.
const GROUPS: [&str; 5] =
    ["company-service", "container-router", "container-router-directory", "container-mail", "container-audit"];
/// Deaths after an effect, each in another group.
const EFFECTS_PER_ROUND: usize = 3;
/// Keys are parked, and what is unknown for more than a moment becomes a letter; and back.
const PARKING: [&str; 3] =
    ["eventkit.after_dead_letter=park_key", "eventkit.retry_attempts_max=10", "eventkit.retry_max_ms=50"];
const NOT_PARKING: [&str; 3] =
    ["eventkit.after_dead_letter=continue", "eventkit.retry_attempts_max=8", "eventkit.retry_max_ms=30000"];
/// An employee that no request made.
const FOREIGNER: i64 = 900_000;

/// How the process is brought to a point.
enum Way {
    /// Requests alone lead there; somewhere between these passes.
    Load { scope: &'static str, passes: std::ops::Range<u32> },
    /// Another member joins the group.
    Rebalance,
    /// A dead letter whose key is parked, sent back.
    Parking,
    /// Together with the one before.
    Redrive,
    /// A command rebuilds a projection.
    Rebuild,
}

/// The way to each point; a point that is not here is a new one: say how a test is to get there.
fn way_to(point: &str) -> Vec<Way> {
    let of_requests = || vec![Way::Load { scope: "user-service", passes: 8..40 }];
    match point {
        failpoint::AFTER_STATE_WRITE | failpoint::BEFORE_COMMIT | failpoint::AFTER_COMMIT => of_requests(),
        failpoint::AFTER_PUBLISH => vec![Way::Load { scope: "user-service", passes: 4..12 }],
        failpoint::IN_HANDLER => vec![Way::Load { scope: "container-mail", passes: 1..6 }],
        failpoint::AFTER_EFFECT => GROUPS.map(|scope| Way::Load { scope, passes: 1..6 }).into(),
        failpoint::DURING_REBALANCE => vec![Way::Rebalance],
        failpoint::AFTER_BLOCK => vec![Way::Parking],
        // Both follow in one story.
        failpoint::AFTER_PARKED_EFFECT | failpoint::AFTER_REDRIVE => vec![Way::Redrive],
        failpoint::BEFORE_SWAP | failpoint::DURING_SWAP | failpoint::AFTER_SWAP => vec![Way::Rebuild],
        _ => panic!("no way leads to the failpoint {point} yet"),
    }
}

/// The backbone that dies again and again.
struct Mortal {
    system: System,
    random: StdRng,
    answers: Answers,
    deaths: usize,
    reached: BTreeSet<&'static str>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failpoint_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["kafka.session_timeout_ms=6000".to_owned()];
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let system = System::start_on(&ground, Layout::Together, folder.path(), &settings).await.unwrap();
    let random = StdRng::seed_from_u64(SEED);
    let mut mortal = Mortal { system, random, answers: Answers::default(), deaths: 0, reached: BTreeSet::new() };
    mortal.system.kill(UP).await.unwrap();
    for round in 0..soak::rounds() {
        mortal.die_everywhere(round).await;
    }
    let Mortal { mut system, answers, deaths, reached, .. } = mortal;
    let all: BTreeSet<&str> = failpoint::ALL.iter().copied().collect();
    assert_eq!(reached, all, "every failpoint is met");
    system.start_process(UP).await.unwrap();
    promises::check_all(&system, &answers.acknowledged).await.unwrap();
    // Each round brings a foreigner, whom no store of ours tells of.
    let foreigners = i64::try_from(soak::rounds()).unwrap();
    promises::check_projections_within(promises::ARRIVE_MAX, &system, foreigners).await.unwrap();
    soak::report("Together, at failpoints", deaths, answers.acknowledged.len());
    system.stop().await.unwrap();
}

impl Mortal {
    async fn die_everywhere(&mut self, round: usize) {
        for point in failpoint::ALL.iter().copied() {
            let mut ways = way_to(point);
            while ways.len() > EFFECTS_PER_ROUND {
                ways.remove(self.random.random_range(0..ways.len()));
            }
            for way in ways {
                match way {
                    Way::Load { scope, passes } => {
                        let nth = self.random.random_range(passes);
                        self.die_under_load(point, &format!("{point}@{scope}:{nth}")).await;
                    }
                    Way::Rebalance => self.die_in_a_rebalance(point).await,
                    // Its points come after one another.
                    Way::Parking => self.die_while_parking(FOREIGNER + i64::try_from(round).unwrap()).await,
                    Way::Redrive => {}
                    Way::Rebuild => self.die_in_a_rebuild(point).await,
                }
            }
        }
    }

    /// Starts the backbone, which dies at `spec` some time after; true if it got ready before that.
    async fn start_armed(&mut self, spec: &str) -> bool {
        self.system.arm(spec);
        // What was left of the life before may lead it to the point at once.
        self.system.start_process(UP).await.is_ok()
    }

    async fn died(&mut self, point: &'static str) {
        let status = self.system.wait_for_end(UP).await.unwrap_or_else(|error| panic!("{point}: {error:#}"));
        assert!(is_abort(status), "{point}: it ended with {status}");
        self.deaths += 1;
        self.reached.insert(point);
    }

    async fn die_under_load(&mut self, point: &'static str, spec: &str) {
        if !self.start_armed(spec).await {
            return self.died(point).await;
        }
        let load = Load::begin(&self.system, &format!("d{}", self.deaths)).unwrap();
        self.died(point).await;
        self.answers.extend(load.lost().await);
    }

    async fn die_in_a_rebalance(&mut self, point: &'static str) {
        let group = "container-audit";
        assert!(self.start_armed(&format!("{point}@{group}")).await, "nobody else is in the group");
        let name = format!("d{}", self.deaths);
        let load = Load::begin(&self.system, &name).unwrap();
        let system = &self.system;
        arrived("the group's own member has its partitions", async || {
            let trail = promises::trail(system).await?;
            Ok(trail.iter().any(|fact| fact.event_id.contains(&format!("-{name}c"))).then_some(()))
        })
        .await
        .unwrap();
        // A member that takes partitions, does nothing with them, and goes.
        let interest = Interest {
            group: group.to_owned(),
            topics: vec!["audit-events".to_owned()],
            instance: None,
            drain_max: Duration::from_secs(1),
            start: GroupStart::Earliest,
        };
        let mut member = transport(&self.system).subscribe(interest).await.unwrap();
        let taking = tokio::spawn(async move {
            while member.next().await.is_ok() {}
            member.close().await;
        });
        self.died(point).await;
        taking.abort();
        self.answers.extend(load.lost().await);
    }

    /// An event that fails until another one is there: its key is parked, and its letter is sent back.
    async fn die_while_parking(&mut self, employee_id: i64) {
        // What is on its way arrives first: events are given up sooner from here on.
        self.system.start_process(UP).await.unwrap();
        promises::check_all(&self.system, &self.answers.acknowledged).await.unwrap();
        self.kill().await;
        for setting in PARKING {
            self.system.configure(setting);
        }
        assert!(self.start_armed(&format!("{}@container-router-directory", failpoint::AFTER_BLOCK)).await);
        send(&self.system, "user.login", employee_id, &login(employee_id)).await;
        self.died(failpoint::AFTER_BLOCK).await;

        assert!(self.start_armed(&format!("{}@container-router-directory", failpoint::AFTER_PARKED_EFFECT)).await);
        read_until(&self.system.broker(), "user-events.dlq", |letters| !letters.is_empty()).await;
        send(&self.system, "user.created", employee_id, &created(employee_id)).await;
        let redrive = ["dlq", "redrive", "--topic", "user-events", "--execute"];
        let mut armed = Some(failpoint::AFTER_REDRIVE);
        // Again and again: the letter fails until the directory has read of the employee.
        let system = &mut self.system;
        for _ in 0..200 {
            if system.has_ended(UP).unwrap() {
                break;
            }
            let ran = match armed {
                Some(point) => system.run_armed("user-service", &redrive, point).await.unwrap(),
                None => system.run("user-service", &redrive).await.unwrap(),
            };
            if armed.is_some() && is_abort(ran.status) {
                self.reached.insert(failpoint::AFTER_REDRIVE);
                self.deaths += 1;
                armed = None;
            }
        }
        self.died(failpoint::AFTER_PARKED_EFFECT).await;

        self.system.start_process(UP).await.unwrap();
        let folder = self.system.data_dir("container").join("mailbox");
        let address = format!("{employee_id}@example.org");
        let mails = arrived("the welcome and the word of a new device", async || {
            let mails = e2e::mailbox::read(&folder)?.into_iter().filter(|mail| mail.to == address).count();
            Ok((mails >= 2).then_some(mails))
        });
        assert_eq!(mails.await.unwrap(), 2);
        self.kill().await;
        for setting in NOT_PARKING {
            self.system.configure(setting);
        }
    }

    /// The head counts' projection is rebuilt under load; after the death it is whole, and the command does it.
    async fn die_in_a_rebuild(&mut self, point: &'static str) {
        let rebuild = ["events", "rebuild", "--service", "company-service", "employees", "--take-over"];
        assert!(self.start_armed(&format!("{point}@employees")).await, "nobody rebuilds at a start");
        let load = Load::begin(&self.system, &format!("d{}", self.deaths)).unwrap();
        load.more_acknowledged(20).await.unwrap();
        let ran = self.system.run("company-service", &[&rebuild[..], &["--yes"]].concat()).await.unwrap();
        assert!(!ran.status.success(), "{point}: {}", ran.stdout);
        self.died(point).await;
        self.answers.extend(load.lost().await);
        self.system.start_process(UP).await.unwrap();
        let system = &self.system;
        // What the consumer has not handled yet is missing in the one that runs.
        arrived("the projection is what the store tells", async || {
            let compared = system.run("company-service", &[&rebuild[..], &["--format", "json"]].concat()).await?;
            let compared: serde_json::Value = serde_json::from_str(compared.stdout.trim())?;
            let table = &compared["tables"][0];
            let is_right = ["missing", "different"].iter().all(|count| table[count] == 0);
            Ok((is_right && table["rows"].as_i64() >= Some(20)).then_some(()))
        })
        .await
        .unwrap();
        let ran = self.system.run("company-service", &[&rebuild[..], &["--yes"]].concat()).await.unwrap();
        assert!(ran.status.success(), "{point}: {}", ran.stderr);
        self.kill().await;
    }

    async fn kill(&mut self) {
        self.system.kill(UP).await.unwrap();
        self.deaths += 1;
    }
}

fn is_abort(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::ABORT.as_raw())
}

fn transport(system: &System) -> Arc<KafkaTransport> {
    Arc::new(KafkaTransport::new(KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() }).unwrap())
}

/// Publishes an event of a service that is not ours.
async fn send(system: &System, event_type: &str, employee_id: i64, data: &serde_json::Value) {
    let envelope = json!({
        "eventId": format!("{event_type}-{employee_id}"),
        "eventType": event_type,
        "data": data,
        "timestamp": "2026-11-24T02:05:27.123Z",
        "service": "payroll",
    });
    let record = Record {
        topic: "user-events".to_owned(),
        key: Some(Bytes::from(format!("user-{employee_id}"))),
        value: Some(Bytes::from(envelope.to_string())),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    transport(system).publish(vec![record]).await.unwrap();
}

fn login(employee_id: i64) -> serde_json::Value {
    json!({
        "employeeId": employee_id,
        "sessionId": "01935c6e-7b1a-7c7e-9c1d-3f0d6a0f2b10",
        "newDevice": true,
        "ipAddress": "192.0.2.1",
        "userAgent": "curl/8.5.0",
    })
}

fn created(employee_id: i64) -> serde_json::Value {
    json!({
        "employeeId": employee_id,
        "email": format!("{employee_id}@example.org"),
        "firstName": "An",
        "lastName": "Tran",
        "employeeCode": null,
        "status": "active",
    })
}
