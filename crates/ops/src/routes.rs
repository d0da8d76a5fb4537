//! The routes of a running container: what there is, and having one start, stop or go back to what it said before.

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
    pub in_flight: i64,
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
