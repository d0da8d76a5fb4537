//! Requests that are safe to repeat: a stable `Idempotency-Key` each, tried again while a service is away or not ready.
//!
//! Answers with tokens are kept by no service, so a login whose answer was lost is a second one when it is tried again;
//! how often that may have been is counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::error::Error;

/// How long one request is tried before the story gives up.
const TRY_MAX: Duration = Duration::from_secs(90);
/// The first and the longest pause between two tries.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long one try may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Where the services are, as `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The user-service.
    pub users: String,
    /// The company-service.
    pub companies: String,
    /// The recruitment-service.
    pub recruitment: String,
}

/// Somebody who asks: the operator, or an employee who is logged in.
///
/// Every method tries again while a service is away, for a minute and a half; all of them end with [`Error::Refused`]
/// when a service says no, and with [`Error::GaveUp`] when it stays away.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    /// Distinguishes this run's keys from those of others.
    run: String,
    who: String,
    keys: AtomicU64,
    requests: Arc<AtomicU64>,
    login: Option<Login>,
    token: Mutex<String>,
    /// Logins after the first that were made, or may have been.
    logins_more: AtomicU64,
}

/// Without tokens and passwords.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("run", &self.0.run).field("who", &self.0.who).finish_non_exhaustive()
    }
}

/// What renews a token that has run out.
struct Login {
    users: String,
    email: String,
    password: String,
}

/// What a service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    request: String,
    /// The JSON in it; null where it had none.
    pub body: Value,
}

impl Answer {
    /// A number in the answer.
    ///
    /// # Errors
    /// [`Error::Incomplete`] when there is none.
    pub fn id(&self, field: &'static str) -> Result<i64, Error> {
        self.body[field].as_i64().ok_or_else(|| Error::Incomplete { request: self.request.clone(), field })
    }
}

/// What one try came to.
enum Tried {
    Done(Answer),
    Again {
        why: String,
        /// Whether it may have been done all the same.
        is_lost: bool,
    },
    TokenExpired,
}

/// What all tries of one request came to.
pub(crate) struct Sent {
    pub(crate) answer: Result<Answer, Error>,
    /// Tries before the last that may have been done, and whose answers did not come.
    pub(crate) lost: u64,
}

impl Client {
    /// Whoever holds `token`. Keys of requests begin with `run` and `who`, which together are this client's alone;
    /// answers are counted in `requests`.
    pub fn with_token(run: &str, who: &str, token: String, requests: Arc<AtomicU64>) -> Self {
        Self::new(run, who, token, None, requests, 0)
    }

    fn new(
        run: &str,
        who: &str,
        token: String,
        login: Option<Login>,
        requests: Arc<AtomicU64>,
        logins_more: u64,
    ) -> Self {
        // The token is for no proxy that the environment may name.
        let http = reqwest::Client::builder().no_proxy().build().expect("without TLS nothing has to be set up");
        Self(Arc::new(Inner {
            http,
            run: run.to_owned(),
            who: who.to_owned(),
            keys: AtomicU64::new(0),
            requests,
            login,
            token: Mutex::new(token),
            logins_more: AtomicU64::new(logins_more),
        }))
    }

    /// Logs an employee in.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn log_in(&self, users: &str, email: &str, password: &str) -> Result<Self, Error> {
        let inner = &self.0;
        let login = Login { users: users.to_owned(), email: email.to_owned(), password: password.to_owned() };
        let sent = self.post_as_stranger(&format!("{users}/api/v1/sessions"), credentials(&login)).await;
        let token = token_of(&sent.answer?)?;
        Ok(Self::new(&inner.run, email, token, Some(login), inner.requests.clone(), sent.lost))
    }

    /// How many logins there may be after the first: those whose answers were lost, and those that renewed the token.
    pub(crate) fn logins_more(&self) -> u64 {
        self.0.logins_more.load(Ordering::Relaxed)
    }

    /// Asks for what needs nobody to be known, such as a login: a 401 is no word about the own token.
    pub(crate) async fn post_as_stranger(&self, url: &str, body: Value) -> Sent {
        self.try_until_done(Method::POST, url, Some(body), None, false).await
    }

    /// The token in use now.
    pub(crate) async fn token(&self) -> String {
        self.0.token.lock().await.clone()
    }

    /// Makes something; done once, however often it is tried.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn post(&self, url: &str, body: Value) -> Result<Answer, Error> {
        let number = self.0.keys.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}-{}-{number}", self.0.run, self.0.who);
        self.fulfil(Method::POST, url, Some(body), Some(key)).await
    }

    /// Makes something under a key that the caller chooses, for tasks that run in any order.
    pub(crate) async fn post_as(&self, key: &str, url: &str, body: Value) -> Result<Answer, Error> {
        let key = format!("{}-{key}", self.0.run);
        self.fulfil(Method::POST, url, Some(body), Some(key)).await
    }

    /// Changes something; the same change twice is one.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn patch(&self, url: &str, body: Value) -> Result<Answer, Error> {
        self.fulfil(Method::PATCH, url, Some(body), None).await
    }

    /// Sets something.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn put(&self, url: &str, body: Value) -> Result<Answer, Error> {
        self.fulfil(Method::PUT, url, Some(body), None).await
    }

    /// Looks at something.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn get(&self, url: &str) -> Result<Answer, Error> {
        self.fulfil(Method::GET, url, None, None).await
    }

    /// Removes something; gone already is as good.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn delete(&self, url: &str) -> Result<(), Error> {
        match self.fulfil(Method::DELETE, url, None, None).await {
            Ok(_) => Ok(()),
            Err(Error::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the session; not known any more is as good.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn log_out(&self, users: &str) -> Result<(), Error> {
        let url = format!("{users}/api/v1/sessions/current");
        match self.try_until_done(Method::DELETE, &url, None, None, false).await.answer {
            Ok(_) => Ok(()),
            Err(Error::Refused { status: 401, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn fulfil(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
        key: Option<String>,
    ) -> Result<Answer, Error> {
        self.try_until_done(method, url, body, key, true).await.answer
    }

    async fn try_until_done(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
        key: Option<String>,
        renew: bool,
    ) -> Sent {
        let mut lost = 0;
        let answer = self.tries(method, url, body, key, renew, &mut lost).await;
        Sent { answer, lost }
    }

    async fn tries(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
        key: Option<String>,
        renew: bool,
        lost: &mut u64,
    ) -> Result<Answer, Error> {
        let request = format!("{method} {url}");
        let give_up_at = Instant::now() + TRY_MAX;
        let mut pause = PAUSE_FIRST;
        let mut is_renewed = !renew;
        loop {
            let token = self.0.token.lock().await.clone();
            let tried = self.try_once(&method, url, body.as_ref(), key.as_deref(), &token, &request, is_renewed);
            let last = match tried.await? {
                Tried::Done(answer) => return Ok(answer),
                Tried::TokenExpired => {
                    self.renew(&token).await?;
                    is_renewed = true;
                    continue;
                }
                Tried::Again { why, is_lost } => {
                    *lost += u64::from(is_lost);
                    why
                }
            };
            if Instant::now() >= give_up_at {
                return Err(Error::GaveUp { request, seconds: TRY_MAX.as_secs(), last });
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one place puts a request together")]
    async fn try_once(
        &self,
        method: &Method,
        url: &str,
        body: Option<&Value>,
        key: Option<&str>,
        token: &str,
        request: &str,
        is_renewed: bool,
    ) -> Result<Tried, Error> {
        let mut call = self.0.http.request(method.clone(), url).bearer_auth(token).timeout(ANSWER_MAX);
        if let Some(body) = body {
            call = call.json(body);
        }
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        let answered = match call.send().await {
            Ok(response) => {
                let status = response.status();
                response.bytes().await.map(|bytes| (status, bytes))
            }
            Err(error) => Err(error),
        };
        let (status, bytes) = match answered {
            Ok(answered) => answered,
            // Without a connection nobody heard of it.
            Err(error) => return Ok(Tried::Again { why: eventkit::chain(&error), is_lost: !error.is_connect() }),
        };
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(Tried::Done(Answer { request: request.to_owned(), body }));
        }
        if status == StatusCode::UNAUTHORIZED && self.0.login.is_some() && !is_renewed {
            return Ok(Tried::TokenExpired);
        }
        let is_worth_another_try = status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR
            || status == StatusCode::TOO_MANY_REQUESTS
            || body["code"] == "dependency_not_ready";
        if is_worth_another_try {
            // What took too long may be done by now; whoever stands between does not know.
            let is_lost =
                body["code"] == "timeout" || matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
            return Ok(Tried::Again { why: format!("{status}: {body}"), is_lost });
        }
        Err(Error::Refused { request: request.to_owned(), status: status.as_u16(), answer: body.to_string() })
    }

    /// Logs in again, unless another task has done so since `expired` was used.
    async fn renew(&self, expired: &str) -> Result<(), Error> {
        let Some(login) = &self.0.login else { return Ok(()) };
        let mut token = self.0.token.lock().await;
        if *token != expired {
            return Ok(());
        }
        let stranger = Self::with_token(&self.0.run, "nobody", String::new(), self.0.requests.clone());
        let url = format!("{}/api/v1/sessions", login.users);
        let sent = Box::pin(stranger.post_as_stranger(&url, credentials(login))).await;
        self.0.logins_more.fetch_add(1 + sent.lost, Ordering::Relaxed);
        *token = token_of(&sent.answer?)?;
        Ok(())
    }
}

fn credentials(login: &Login) -> Value {
    json!({"email": login.email, "password": login.password})
}

fn token_of(session: &Answer) -> Result<String, Error> {
    let token = session.body["accessToken"].as_str();
    token.map(str::to_owned).ok_or_else(|| Error::Incomplete { request: session.request.clone(), field: "accessToken" })
}
