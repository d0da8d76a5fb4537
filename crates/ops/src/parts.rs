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
    /// How long one answer may take.
    answer_max: Duration,
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
        Self { name, address, token, client, answer_max: ANSWER_MAX }
    }

    /// The answer to a GET of `path`.
    ///
    /// # Errors
    /// The part does not answer, or refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.answer(self.client.get(format!("http://{}{path}?{query}", self.address))).await
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
        let answer_max = self.answer_max + wait;
        let mut answer = self.asked(request, answer_max).await?;
        let mut rest = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unanswered(error, answer_max))? {
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
        let answer = self.asked(request, self.answer_max).await?;
        let body = answer.bytes().await.map_err(|error| self.unanswered(error, self.answer_max))?;
        self.read(&body)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body)
            .map_err(|error| self.refused(format!("it answered something else than expected: {error}")))
    }

    /// The head of an answer; refusals are errors.
    async fn asked(&self, request: reqwest::RequestBuilder, answer_max: Duration) -> Result<reqwest::Response> {
        let unanswered = |error| self.unanswered(error, answer_max);
        let answer = request.bearer_auth(&self.token).timeout(answer_max).send().await.map_err(unanswered)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(unanswered)?;
        Err(self.refused(match serde_json::from_slice::<ProblemText>(&body) {
            Ok(problem) => problem.detail.unwrap_or(problem.title),
            Err(_) => status.to_string(),
        }))
    }

    /// Why there is no whole answer.
    fn unanswered(&self, source: reqwest::Error, answer_max: Duration) -> Error {
        let (part, address) = (self.name, self.address.clone());
        // A connection that does not come about in time is both.
        if source.is_connect() {
            Error::PartAway { part, address, source }
        } else if source.is_timeout() {
            Error::PartSilent { part, address, seconds: answer_max.as_secs(), source }
        } else {
            Error::PartBrokeOff { part, address, source }
        }
    }

    fn refused(&self, reason: String) -> Error {
        Error::PartRefused { part: self.name, reason }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    use super::*;

    /// A part that takes one connection, and what it does with the request.
    async fn part_that<F: Future<Output = ()> + Send + 'static>(
        does: impl FnOnce(String, TcpStream) -> F + Send + 'static,
    ) -> (Part, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            does(String::from_utf8(head).unwrap(), stream).await;
        });
        (Part::new("container", address, "secret".to_owned()), serving)
    }

    #[tokio::test]
    async fn values_of_a_query_are_encoded() {
        let (part, _serving) = part_that(|head, mut stream| async move {
            let line = serde_json::to_string(head.lines().next().unwrap()).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{line}", line.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let query = [("key", "a&b=c d#e+%".to_owned()), ("n", "1".to_owned())];
        let asked: String = part.get("/x", &query).await.unwrap();
        assert_eq!(asked, "GET /x?key=a%26b%3Dc+d%23e%2B%25&n=1 HTTP/1.1");
    }

    #[tokio::test]
    async fn a_part_that_is_not_there_does_not_answer_or_breaks_off_is_told_apart() {
        // The port is free again when its listener is gone.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let away = Part::new("container", free, String::new()).get::<bool>("/x", &[]).await;
        assert!(matches!(away, Err(Error::PartAway { .. })), "{away:?}");

        let (silent, _serving) = part_that(|_, stream| async move {
            let _open = stream;
            std::future::pending::<()>().await;
        })
        .await;
        let silent = Part { answer_max: Duration::from_millis(50), ..silent }.get::<bool>("/x", &[]).await;
        assert!(matches!(silent, Err(Error::PartSilent { .. })), "{silent:?}");

        let (broken, _serving) = part_that(|_, mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[").await.unwrap();
        })
        .await;
        let broken = broken.get::<bool>("/x", &[]).await;
        assert!(matches!(broken, Err(Error::PartBrokeOff { .. })), "{broken:?}");
    }
}
