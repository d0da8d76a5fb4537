//! Asks a running part over its operator API, with the operator's token.

use anyhow::{Context, anyhow};
use chassis::auth::operator_token_of;
use chassis::{Secret, Settings};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exit::{Class, classified};

/// The operator's way to one part.
pub(crate) struct Operator {
    address: String,
    token: Secret,
    client: reqwest::Client,
}

/// The operator's token: the configured one, or that of the data directory.
pub(crate) fn token(settings: &Settings) -> anyhow::Result<Secret> {
    operator_token_of(settings)
        .map_err(|error| classified(Class::Unreachable, anyhow::Error::from_boxed(error)))
        .context("start it first with `techleet up`, or name its directory with --data-dir")
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
        let token = token(settings)?;
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
