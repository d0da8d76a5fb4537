//! Employees created over HTTP by many connections at once, whoever serves it: how many, how fast, at what cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use crate::process;
use crate::summary::percentile;

/// How long the system is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);
/// Load that is not measured: connections and caches come into being.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How often is looked whether the system has come to rest.
const REST_INTERVAL: Duration = Duration::from_secs(1);
/// Less processor time in an interval, in seconds, is rest.
const REST_CPU_SECONDS: f64 = 0.05;
/// How long the system may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(300);
/// The unit of the cost.
const COST_REQUESTS: f64 = 10_000.0;

/// How much is asked at once, and for how long.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Load {
    pub(crate) connections: u16,
    pub(crate) seconds: u16,
}

/// Who is asked.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) process_id: u32,
    /// `http://host:port`.
    pub(crate) url: String,
    /// The operator's token, where one is asked for.
    pub(crate) token: Option<String>,
}

impl Service {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.url.trim_start_matches("http://").parse()?)
    }

    fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Created {
    pub(crate) requests: usize,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// While the load was on.
    pub(crate) cpu_seconds_per_10000_requests: f64,
    /// Until everything that follows from the requests was done: events published, mails written, audit chained.
    /// Not there when that took longer than is waited for.
    pub(crate) cpu_seconds_per_10000_requests_at_rest: Option<f64>,
    pub(crate) rss_idle_mib: f64,
    pub(crate) rss_loaded_mib: f64,
    /// The most that it ever had, until everything was done.
    pub(crate) rss_peak_mib: f64,
}

/// The system under load.
struct Target {
    address: SocketAddr,
    authorization: Option<String>,
    /// Answers before it are not measured.
    from: Instant,
    /// No request begins after it.
    until: Instant,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// How long each measured answer took, in microseconds.
    micros: Vec<u32>,
    /// All answers, measured or not.
    answers: usize,
}

/// Puts the load on a service that has just started.
pub(crate) async fn put(load: Load, service: &Service) -> anyhow::Result<Created> {
    let process_id = service.process_id;
    tokio::time::sleep(IDLE).await;
    let rss_idle_mib = process::rss_mib(process_id)?;
    let cpu_before = process::cpu_seconds(process_id)?;

    let target = Arc::new(target(service, load)?);
    let mut connections = JoinSet::new();
    for connection in 0..load.connections {
        connections.spawn(ask(target.clone(), connection));
    }
    tokio::time::sleep_until(target.from.into()).await;
    let cpu_from = process::cpu_seconds(process_id)?;
    tokio::time::sleep_until(target.until.into()).await;
    let cpu_until = process::cpu_seconds(process_id)?;
    let rss_loaded_mib = process::rss_mib(process_id)?;
    let seen = gather(connections).await?;
    let cpu_at_rest = rest(process_id).await?;

    let requests = seen.micros.len();
    let ms = |percent| percentile(&seen.micros, percent).map(|micros| f64::from(micros) / 1000.0);
    Ok(Created {
        requests,
        requests_per_second: number(requests)? / f64::from(load.seconds),
        p50_ms: ms(50).context("no request was answered")?,
        p99_ms: ms(99).context("no request was answered")?,
        cpu_seconds_per_10000_requests: (cpu_until - cpu_from) / number(requests)? * COST_REQUESTS,
        cpu_seconds_per_10000_requests_at_rest: match cpu_at_rest {
            Some(cpu) => Some((cpu - cpu_before) / number(seen.answers)? * COST_REQUESTS),
            None => None,
        },
        rss_idle_mib,
        rss_loaded_mib,
        rss_peak_mib: process::rss_peak_mib(process_id)?,
    })
}

fn target(service: &Service, load: Load) -> anyhow::Result<Target> {
    let from = Instant::now() + WARM_UP;
    Ok(Target {
        address: service.address()?,
        authorization: service.authorization(),
        from,
        until: from + Duration::from_secs(load.seconds.into()),
    })
}

/// Creates employees over one connection, one after the other, until the time is over.
async fn ask(target: Arc<Target>, number: u16) -> anyhow::Result<Seen> {
    let mut connection = Connection::open(target.address, target.authorization.clone()).await?;
    let mut seen = Seen::default();
    let mut began = Instant::now();
    while began < target.until {
        connection.create(&format!("an{number}n{}@example.com", seen.answers)).await?;
        let ended = Instant::now();
        seen.answers += 1;
        if (target.from..target.until).contains(&ended) {
            seen.micros.push(u32::try_from((ended - began).as_micros())?);
        }
        began = ended;
    }
    connection.close().await?;
    Ok(seen)
}

/// A connection to a service that employees are created over.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
    host: String,
    authorization: Option<String>,
}

impl Connection {
    /// Connects to a service.
    pub(crate) async fn to(service: &Service) -> anyhow::Result<Self> {
        Self::open(service.address()?, service.authorization()).await
    }

    async fn open(address: SocketAddr, authorization: Option<String>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect to the user-service")?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: tokio::spawn(driver), host: address.to_string(), authorization })
    }

    /// Creates an employee; the body of the answer.
    pub(crate) async fn create(&mut self, email: &str) -> anyhow::Result<Bytes> {
        let request = self.request(email)?;
        let answered = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            ensure!(status == StatusCode::CREATED, "answered {status}: {}", String::from_utf8_lossy(&body));
            Ok(body)
        };
        tokio::time::timeout(ANSWER_MAX, answered).await.context("no answer in time")?
    }

    fn request(&self, email: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let body = json!({"firstName": "An", "lastName": "Tran", "email": email}).to_string();
        let mut request = Request::post("/api/v1/users")
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request.body(Full::from(body))?)
    }

    /// Ends the connection.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        drop(self.sender);
        Ok(self.driver.await??)
    }
}

/// What all connections saw together, the fastest answer first.
async fn gather(mut connections: JoinSet<anyhow::Result<Seen>>) -> anyhow::Result<Seen> {
    let mut all = Seen::default();
    while let Some(seen) = connections.join_next().await {
        let seen = seen??;
        all.micros.extend(seen.micros);
        all.answers += seen.answers;
    }
    all.micros.sort_unstable();
    Ok(all)
}

/// The processor time of the process when it has come to rest, if it does in time.
async fn rest(process_id: u32) -> anyhow::Result<Option<f64>> {
    let give_up = Instant::now() + REST_MAX;
    let mut before = process::cpu_seconds(process_id)?;
    while Instant::now() < give_up {
        tokio::time::sleep(REST_INTERVAL).await;
        let now = process::cpu_seconds(process_id)?;
        if now - before < REST_CPU_SECONDS {
            return Ok(Some(now));
        }
        before = now;
    }
    Ok(None)
}

fn number(count: usize) -> anyhow::Result<f64> {
    Ok(u32::try_from(count)?.into())
}
