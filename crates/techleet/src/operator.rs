//! Asks a running part over its operator API, with the token from the data directory.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use chassis::{DataDir, Secret, Settings};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exit::{Class, classified};

/// The operator's way to one part.
pub(crate) struct Operator {
    address: String,
    token: Secret,
    client: reqwest::Client,
}

/// What a problem document tells.
#[derive(Debug, Deserialize)]
struct ProblemText {
    title: String,
    detail: Option<String>,
}

impl Operator {
    /// Reaches the part whose listening address is under `listen_key`.
    pub(crate) fn of(settings: &Settings, listen_key: &str) -> anyhow::Result<Self> {
        let address: String = settings.get(listen_key)?;
        let data_dir: PathBuf = settings.get("data_dir")?;
        let token = DataDir::read_operator_token(&data_dir)
            .map_err(|error| classified(Class::Unreachable, error))
            .context("start it first with `techleet up`, or name its directory with --data-dir")?;
        Ok(Self { address, token, client: reqwest::Client::new() })
    }

    /// The answer to a GET of `path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        let query: String = query.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let url = format!("http://{}{path}?{}", self.address, query.trim_start_matches('&'));
        let request = self.client.get(&url).bearer_auth(self.token.expose());
        let answer = request.send().await.map_err(|error| {
            let hint = format!("nothing answers on {}; is it running? start it with `techleet up`", self.address);
            classified(Class::Unreachable, anyhow!(error).context(hint))
        })?;
        let status = answer.status();
        let body = answer.bytes().await.context("the answer broke off")?;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| format!("{url} answered something else"));
        }
        let text = match serde_json::from_slice::<ProblemText>(&body) {
            Ok(problem) => problem.detail.unwrap_or(problem.title),
            Err(_) => status.to_string(),
        };
        Err(anyhow!("{url}: {text}"))
    }
}
