//! The routes of a running container: what there is, and having one start, stop or go back to what it said before.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Result;
use crate::parts::Part;

/// All files and routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// The files with routes.
    pub files: Vec<RouteFile>,
    /// The routes.
    pub routes: Vec<Route>,
}

/// A file with routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFile {
    /// Its name.
    pub file: String,
    /// `running`; `refused`, if nothing of it ever ran; `old-running`, if its newest text was refused.
    pub state: String,
    /// Whether it comes with TechLeet, and not from the folder.
    pub built_in: bool,
    /// The revision that runs.
    pub revision: Option<i64>,
    /// The digest of its text.
    pub digest: Option<String>,
    /// Since when it runs.
    pub deployed_at: Option<Timestamp>,
    /// When the newest text was refused.
    pub refused_at: Option<Timestamp>,
    /// What is wrong with that text.
    pub reasons: Vec<String>,
    /// What has no effect in the text that runs.
    pub notes: Vec<String>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Its id.
    pub id: String,
    /// The file that it comes from.
    pub file: String,
    /// The revision of the file.
    pub revision: Option<i64>,
    /// Where it takes exchanges from.
    pub from: String,
    /// `started`, `stopped` or `suspended`.
    pub state: String,
    /// Exchanges that came in.
    pub total: u64,
    /// Exchanges that ended with an exception.
    pub failed: u64,
    /// Exceptions that were handled.
    pub handled: u64,
    /// Steps that were tried again.
    pub redelivered: u64,
    /// Records that became dead letters.
    pub dead_lettered: u64,
    /// Exchanges that are under way.
    pub in_flight: u64,
    /// Exchanges that have been through the steps, and wait for what they sent to be acknowledged.
    pub unacknowledged: u64,
    /// The time of the exchange that ended last, in microseconds.
    pub last_us: u64,
    /// The time of an exchange in the mean, in microseconds.
    pub mean_us: u64,
}

/// A route with its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSteps {
    /// The route.
    #[serde(flatten)]
    pub route: Route,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// When the revision was deployed.
    pub deployed_at: Option<Timestamp>,
    /// Whether it starts by itself.
    pub auto_startup: bool,
    /// Where its dead letter channel sends.
    pub dead_letters_to: Option<String>,
    /// Its steps in the order of the file, those of error handling last.
    pub steps: Vec<RouteStep>,
}

/// A step of a route, and what it has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStep {
    /// Its id, or its kind and its line.
    pub step: String,
    /// What kind of step it is.
    pub kind: String,
    /// The file in which it stands.
    pub file: String,
    /// The line where it begins.
    pub line: usize,
    /// In how many steps it stands.
    pub depth: usize,
    /// Where it sends, as far as the file says.
    pub sends_to: Vec<String>,
    /// Exchanges that came to it.
    pub total: u64,
    /// Exchanges that it failed.
    pub failed: u64,
    /// Attempts after the first.
    pub redelivered: u64,
    /// Exchanges that it failed and that became dead letters.
    pub dead_lettered: u64,
    /// Exchanges that are at it.
    pub in_flight: u64,
    /// The time of the exchange that ended last, in microseconds.
    pub last_us: u64,
    /// The time of an exchange in the mean, in microseconds.
    pub mean_us: u64,
}

/// What a trace tells: an exchange that was followed, or that it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Traced {
    /// An exchange.
    Exchange(FollowedExchange),
    /// The last that is told.
    End {
        /// `count`, `timeout`, or what the route is that was stopped: `stopped`, `suspended`, `replaced`, `removed`,
        /// `started`.
        reason: String,
        /// How many exchanges have ended.
        followed: usize,
        /// How many have begun and not ended.
        under_way: usize,
    },
}

/// What an exchange went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowedExchange {
    /// What names it.
    pub exchange: String,
    /// When it was made, in milliseconds since 1970.
    pub began_ms: i64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// `done`, `failed`, `cut-off` or `under-way`.
    pub outcome: String,
    /// What failed it.
    pub exception: Option<String>,
    /// The headers that it came with.
    pub headers: Vec<(String, String)>,
    /// The body that it came with.
    pub body: ShownBody,
    /// The steps in the order in which they began.
    pub steps: Vec<FollowedStep>,
    /// How many steps more there were, for which the trace had no room.
    pub left_out: usize,
}

/// What a step did with an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowedStep {
    /// The route in which the step stands.
    pub route: String,
    /// The step.
    pub step: String,
    /// In how many steps it stands.
    pub depth: usize,
    /// The exchange: another one, if a step made a copy.
    pub exchange: String,
    /// How long after the exchange came, in microseconds.
    pub after_us: u64,
    /// How long it took, in microseconds; nothing if it has not ended.
    pub took_us: Option<u64>,
    /// How often it was tried again.
    pub redelivered: u32,
    /// What it failed with.
    pub exception: Option<String>,
    /// The headers that it changed.
    pub headers: Vec<HeaderChange>,
    /// The body before and after, if it is another one.
    pub body: Option<(ShownBody, ShownBody)>,
}

/// A header that is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderChange {
    /// Its name.
    pub name: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
}

/// A body, shortened and masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownBody {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// About how many bytes it has.
    pub length: usize,
    /// Its beginning, where it is shown.
    pub text: Option<String>,
}

/// A text of a file that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRevision {
    /// Its number.
    pub revision: i64,
    /// The digest of the text.
    pub digest: String,
    /// When it was deployed.
    pub deployed_at: Option<Timestamp>,
    /// The text; nothing where the file was taken away.
    pub text: Option<String>,
}

impl Part {
    /// What routes there are.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn routes(&self) -> Result<Routes> {
        self.get("/operator/v1/routes", &[]).await
    }

    /// Has a route `start`, `stop`, `suspend` or `resume`; answers how it is then.
    ///
    /// # Errors
    /// There is no such route, it cannot do that, or the part does not answer.
    pub async fn control_route(&self, route: &str, action: &str) -> Result<Route> {
        self.post("/operator/v1/routes/control", &json!({"route": route, "action": action})).await
    }

    /// The steps of one route, or of all.
    ///
    /// # Errors
    /// There is no such route, or the part does not answer.
    pub async fn route_steps(&self, route: Option<&str>) -> Result<Vec<RouteSteps>> {
        self.post("/operator/v1/routes/steps", &json!({"route": route})).await
    }

    /// Follows the next exchanges of a route, and hands on what is told, [`Traced::End`] at last; ends before if `each`
    /// has had enough.
    ///
    /// # Errors
    /// There is no such route, it does not run or is traced already, or the part does not answer.
    pub async fn trace_route(
        &self,
        route: &str,
        count: usize,
        timeout: Duration,
        each: impl FnMut(Traced) -> ControlFlow<()>,
    ) -> Result<()> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let wanted = json!({"route": route, "count": count, "timeoutMs": timeout_ms});
        self.lines("/operator/v1/routes/trace", &wanted, timeout, each).await
    }

    /// The revisions of a file, the newest first.
    ///
    /// # Errors
    /// The part does not answer.
    pub async fn route_revisions(&self, file: &str) -> Result<Vec<RouteRevision>> {
        self.post("/operator/v1/routes/revisions", &json!({"file": file})).await
    }

    /// Has an earlier text of a file deployed again; answers what became of it.
    ///
    /// # Errors
    /// There is no such revision, the folder cannot be written, or the part does not answer.
    pub async fn roll_back_routes(&self, file: &str, revision: i64) -> Result<RouteFile> {
        self.post("/operator/v1/routes/rollback", &json!({"file": file, "revision": revision})).await
    }
}
