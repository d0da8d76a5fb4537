//! The way to a running part: its operator API over HTTP, with the operator's token.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A part that can be asked.
#[derive(Clone)]
pub struct Part {
    /// The part's name.
    pub name: &'static str,
    address: String,
    token: String,
    client: reqwest::Client,
}

/// Without the token.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a problem document tells.
#[derive(Debug, Deserialize)]
struct ProblemText {
    title: String,
    detail: Option<String>,
}

impl Part {
    /// The part that listens on `address` (`host:port`) and knows this operator's token.
    ///
    /// # Panics
    /// Never: its client has nothing that could fail to be set up.
    #[must_use]
    pub fn new(name: &'static str, address: String, token: String) -> Self {
        // The token is for no proxy that the environment may name.
        let client = reqwest::Client::builder().no_proxy().build().expect("without TLS nothing has to be set up");
        Self { name, address, token, client }
    }

    /// The answer to a GET of `path`.
    ///
    /// # Errors
    /// The part does not answer, or refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T> {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.answer(self.client.get(format!("http://{}{path}?{}", self.address, query.join("&")))).await
    }

    /// The answer to a POST of `body` to `path`.
    ///
    /// # Errors
    /// The part does not answer, or refuses.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.client.post(format!("http://{}{path}", self.address)).json(body)).await
    }

    /// Hands on the answer to a POST of `body` to `path` line by line, each a JSON document, until that is enough; the
    /// last may come `wait` later than other answers.
    pub(crate) async fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<()> {
        let request = self.client.post(format!("http://{}{path}", self.address)).json(body);
        let away = |source| Error::PartAway { part: self.name, address: self.address.clone(), source };
        let mut answer = self.asked(request, ANSWER_MAX + wait).await?;
        let mut rest = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if each(self.read(&line)?).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        let away = |source| Error::PartAway { part: self.name, address: self.address.clone(), source };
        let body = self.asked(request, ANSWER_MAX).await?.bytes().await.map_err(away)?;
        self.read(&body)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body)
            .map_err(|error| self.refused(format!("it answered something else than expected: {error}")))
    }

    /// The head of an answer; refusals are errors.
    async fn asked(&self, request: reqwest::RequestBuilder, timeout: Duration) -> Result<reqwest::Response> {
        let away = |source| Error::PartAway { part: self.name, address: self.address.clone(), source };
        let answer = request.bearer_auth(&self.token).timeout(timeout).send().await.map_err(away)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(away)?;
        Err(self.refused(match serde_json::from_slice::<ProblemText>(&body) {
            Ok(problem) => problem.detail.unwrap_or(problem.title),
            Err(_) => status.to_string(),
        }))
    }

    fn refused(&self, reason: String) -> Error {
        Error::PartRefused { part: self.name, reason }
    }
}
