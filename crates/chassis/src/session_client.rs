//! Asks the user-service whether a session lives; the other services' way to know who is asking.
//!
//! An answer is trusted for at most a second, so that a logout holds everywhere within that time. When the
//! user-service does not answer, nobody is let in.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::access::Access;
use reqwest::StatusCode;
use tokio::sync::OnceCell;

use crate::auth::{Authenticator, Principal, Refusal};
use crate::error::BoxError;

/// How long an answer is trusted.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(1);
/// How long the user-service may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// Tokens whose answers are kept at the most; beyond that, those that are too old make room.
const ANSWERS_MAX: usize = 10_000;
/// A longer token is nobody's.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Where the user-service tells what a session amounts to, to whoever holds its access token.
pub const ACCESS_PATH: &str = "/api/v1/sessions/current/access";

/// An authenticator that asks the user-service.
pub struct SessionClient {
    url: String,
    client: reqwest::Client,
    answers: Mutex<HashMap<String, Answer>>,
}

/// One question and, once it came, its answer; whoever asks meanwhile waits for the same one, a failure too.
#[derive(Clone)]
struct Answer {
    asked: Instant,
    found: Arc<OnceCell<Found>>,
}

/// What a token amounts to, or why that is not known.
type Found = Result<Option<Arc<Access>>, Arc<dyn std::error::Error + Send + Sync>>;

impl fmt::Debug for SessionClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionClient").field("url", &self.url).finish_non_exhaustive()
    }
}

impl SessionClient {
    /// Asks the user-service at `base_url`, for example `http://127.0.0.1:3001`.
    #[must_use]
    pub fn new(base_url: &str) -> Self {
        let url = format!("{}{ACCESS_PATH}", base_url.trim_end_matches('/'));
        Self { url, client: crate::net::client(), answers: Mutex::default() }
    }

    fn answer(&self, token: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_fresh = |answer: &Answer| now.duration_since(answer.asked) < ANSWER_AGE_MAX;
        if let Some(answer) = answers.get(token).filter(|answer| is_fresh(answer)) {
            return answer.clone();
        }
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, answer| is_fresh(answer));
        }
        let answer = Answer { asked: now, found: Arc::default() };
        // Still full means a flood of tokens: the answer is then not kept.
        if answers.len() < ANSWERS_MAX {
            answers.insert(token.to_owned(), answer.clone());
        }
        answer
    }

    /// Forgets an answer that was none.
    fn forget(&self, token: &str, answer: &Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.get(token).is_some_and(|known| Arc::ptr_eq(&known.found, &answer.found)) {
            answers.remove(token);
        }
    }

    async fn ask(&self, token: &str) -> Result<Option<Arc<Access>>, BoxError> {
        let request = self.client.get(&self.url).bearer_auth(token).timeout(ANSWER_WAIT_MAX);
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(Arc::new(answer.json().await?))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            other => Err(format!("the user-service answered {other}").into()),
        }
    }
}

#[async_trait]
impl Authenticator for SessionClient {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Unknown);
        }
        let answer = self.answer(token);
        let found = answer.found.get_or_init(|| async { self.ask(token).await.map_err(Arc::from) }).await;
        match found {
            Ok(access) => access.clone().map(Principal::Employee).ok_or(Refusal::Unknown),
            Err(error) => {
                // The next request asks again.
                self.forget(token, &answer);
                Err(Refusal::Unavailable(error.clone().into()))
            }
        }
    }
}
