//! Requests that change employees, and what was answered: the load under which things are broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use eventkit::testing::checker::Fact;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::promises::arrived;
use crate::system::System;

/// Clients that ask at a time.
const CLIENTS: usize = 4;
/// How often each of them begins with an employee, where it is not as often as it can. An act that takes long on a busy
/// machine leaves less to do behind it then.
const UNHURRIED: Duration = Duration::from_millis(100);
/// What each employee is called after the creation, one change after the other.
const LATER_NAMES: [&str; 2] = ["Le", "Pham"];

/// The ids of this load's requests begin with this; events carry them as their correlation.
pub const REQUEST_PREFIX: &str = "load-";

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<Answers>,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

/// What was answered so far.
#[derive(Debug, Default)]
struct Counts {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
}

/// What was answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// The requests that succeeded, those of one employee in order: its key, and the id of the request.
    pub acknowledged: Vec<Fact>,
    /// Requests that were answered 503 with a problem.
    pub refused: usize,
}

impl Answers {
    /// Takes the answers of a later load in.
    pub fn extend(&mut self, later: Self) {
        self.acknowledged.extend(later.acknowledged);
        self.refused += later.refused;
    }
}

impl Load {
    /// Begins to ask the user-service; `name` tells loads of one test apart.
    ///
    /// # Errors
    /// The operator's token cannot be read.
    pub fn begin(system: &System, name: &str) -> anyhow::Result<Self> {
        Self::begin_at(system, name, &system.url("user-service"))
    }

    /// As [`Load::begin`], not as fast as it can: for an act whose length is not known.
    ///
    /// # Errors
    /// As [`Load::begin`].
    pub fn begin_unhurried(system: &System, name: &str) -> anyhow::Result<Self> {
        Self::begin_every(system, name, &system.url("user-service"), Some(UNHURRIED))
    }

    /// As [`Load::begin`], asking the copy of it at `url`.
    ///
    /// # Errors
    /// As [`Load::begin`].
    pub fn begin_at(system: &System, name: &str, url: &str) -> anyhow::Result<Self> {
        Self::begin_every(system, name, url, None)
    }

    fn begin_every(system: &System, name: &str, url: &str, every: Option<Duration>) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let token = system.operator_token("user-service")?;
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = Client {
                http: chassis::net::client(),
                users: format!("{url}/api/v1/users"),
                token: token.clone(),
                name: format!("{name}c{number}"),
                answers: Answers::default(),
                counts: counts.clone(),
                every,
            };
            clients.spawn(client.ask_until(stop.clone()));
        }
        Ok(Self { clients, stop, counts })
    }

    /// Waits until so many more requests have succeeded.
    ///
    /// # Errors
    /// They do not in time.
    pub async fn more_acknowledged(&self, requests: usize) -> anyhow::Result<()> {
        more(&self.counts.acknowledged, requests, "requests succeed").await
    }

    /// Waits until so many more requests have been refused for now.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn more_refused(&self, requests: usize) -> anyhow::Result<()> {
        more(&self.counts.refused, requests, "requests are refused").await
    }

    /// Waits until every client has lost its connection, as it does when the process dies.
    ///
    /// # Panics
    /// A client got an answer that it should never get.
    pub async fn lost(self) -> Answers {
        gather(self.clients).await
    }

    /// Ends after the requests that are on their way.
    ///
    /// # Panics
    /// A client got an answer that it should never get.
    pub async fn end(self) -> Answers {
        self.stop.store(true, Ordering::SeqCst);
        gather(self.clients).await
    }
}

async fn more(count: &AtomicUsize, requests: usize, what: &str) -> anyhow::Result<()> {
    let enough = count.load(Ordering::SeqCst) + requests;
    arrived(what, async || Ok((count.load(Ordering::SeqCst) >= enough).then_some(()))).await
}

async fn gather(clients: JoinSet<Answers>) -> Answers {
    let mut all = Answers::default();
    for answers in clients.join_all().await {
        all.extend(answers);
    }
    all
}

struct Client {
    http: reqwest::Client,
    users: String,
    token: String,
    name: String,
    answers: Answers,
    counts: Arc<Counts>,
    every: Option<Duration>,
}

impl Client {
    async fn ask_until(mut self, stop: Arc<AtomicBool>) -> Answers {
        let mut beginnings = self.every.map(tokio::time::interval);
        if let Some(beginnings) = &mut beginnings {
            // What a slow machine has missed is not made up for.
            beginnings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        for number in 0.. {
            if let Some(beginnings) = &mut beginnings {
                beginnings.tick().await;
            }
            if stop.load(Ordering::SeqCst) || self.one_employee(number).await.is_none() {
                break;
            }
        }
        self.answers
    }

    /// Creates an employee and changes it; `None` when the connection was lost.
    async fn one_employee(&mut self, number: usize) -> Option<()> {
        let id = format!("{REQUEST_PREFIX}{}n{number}", self.name);
        let employee = json!({"firstName": "An", "lastName": "Tran", "email": format!("{id}@example.com")});
        let create = self.http.post(&self.users).json(&employee);
        let Some(created) = self.ask(create, &format!("{id}-create")).await? else { return Some(()) };
        let employee_id = created["employeeId"].as_i64()?;
        self.answers.acknowledged.push(fact(employee_id, &format!("{id}-create")));
        for name in LATER_NAMES {
            let request_id = format!("{id}-{name}");
            let url = format!("{}/{employee_id}", self.users);
            let change = self.http.patch(url).json(&json!({"lastName": name}));
            if self.ask(change, &request_id).await?.is_some() {
                self.answers.acknowledged.push(fact(employee_id, &request_id));
            }
        }
        Some(())
    }

    /// The answer to a request; `Some(None)` when it was refused for now, `None` when the connection was lost.
    async fn ask(&mut self, request: RequestBuilder, request_id: &str) -> Option<Option<Value>> {
        let request = request.bearer_auth(&self.token).header("x-request-id", request_id);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(body["title"].is_string() && body["requestId"] == *request_id, "no problem answer: {body}");
            self.answers.refused += 1;
            self.counts.refused.fetch_add(1, Ordering::SeqCst);
            return Some(None);
        }
        assert!(status.is_success(), "{request_id} was answered {status}: {body}");
        self.counts.acknowledged.fetch_add(1, Ordering::SeqCst);
        Some(Some(body))
    }
}

fn fact(employee_id: i64, request_id: &str) -> Fact {
    Fact::new(&format!("user-{employee_id}"), request_id)
}
