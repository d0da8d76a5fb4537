//! Employees created on `techleet up` alone: everything in one process, with the configuration as it comes.

use anyhow::ensure;
use e2e::Backbone;
use serde::Serialize;

use crate::load::{self, Created, Load, Service};
use crate::report::Rows;

/// What was asked, and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Alone {
    #[serde(flatten)]
    load: Load,
    #[serde(flatten)]
    created: Created,
}

/// Starts a system of its own and puts the load on it.
pub(crate) async fn measure(load: Load) -> anyhow::Result<Alone> {
    let folder = tempfile::tempdir()?;
    let backbone = Backbone::start(folder.path()).await?;
    let service = Service {
        process_id: backbone.process_id()?,
        url: backbone.user_service().to_owned(),
        token: Some(backbone.operator_token().to_owned()),
    };
    let created = load::put(load, &service).await?;
    let status = backbone.interrupt().await?;
    ensure!(status.success(), "techleet up ended with {status}");
    Ok(Alone { load, created })
}

impl Rows for Alone {
    fn headings(&self) -> Vec<&'static str> {
        vec!["POST /api/v1/users", ""]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let at_rest = self.created.cpu_seconds_per_10000_requests_at_rest;
        let rows = [
            ("connections", self.load.connections.to_string()),
            ("seconds", self.load.seconds.to_string()),
            ("requests", self.created.requests.to_string()),
            ("requests/s", format!("{:.0}", self.created.requests_per_second)),
            ("p50, ms", format!("{:.2}", self.created.p50_ms)),
            ("p99, ms", format!("{:.2}", self.created.p99_ms)),
            ("CPU s per 10,000 requests, under load", format!("{:.2}", self.created.cpu_seconds_per_10000_requests)),
            (
                "CPU s per 10,000 requests, until at rest",
                at_rest.map_or_else(|| "not at rest in time".to_owned(), |cpu| format!("{cpu:.2}")),
            ),
            ("RSS idle, MiB", format!("{:.1}", self.created.rss_idle_mib)),
            ("RSS loaded, MiB", format!("{:.1}", self.created.rss_loaded_mib)),
            ("RSS at the most, MiB", format!("{:.1}", self.created.rss_peak_mib)),
        ];
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }
}
