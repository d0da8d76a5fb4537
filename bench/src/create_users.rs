//! Employees created over HTTP by many connections at once: how many, how fast, at what cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use e2e::Backbone;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process;
use crate::report::Rows;
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

/// What became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Created {
    #[serde(flatten)]
    load: Load,
    requests: usize,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// While the load was on.
    cpu_seconds_per_10000_requests: f64,
    /// Until everything that follows from the requests was done: events published, mails written, audit chained.
    /// Not there when that took longer than is waited for.
    cpu_seconds_per_10000_requests_at_rest: Option<f64>,
    rss_idle_mib: f64,
    rss_loaded_mib: f64,
}

/// The system under load.
struct Target {
    address: SocketAddr,
    authorization: String,
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

/// Starts a system of its own and puts the load on it.
pub(crate) async fn measure(load: Load) -> anyhow::Result<Created> {
    let folder = tempfile::tempdir()?;
    let backbone = Backbone::start(folder.path()).await?;
    let process_id = backbone.process_id()?;
    tokio::time::sleep(IDLE).await;
    let rss_idle_mib = process::rss_mib(process_id)?;
    let cpu_before = process::cpu_seconds(process_id)?;

    let target = Arc::new(target(&backbone, load)?);
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
    let status = backbone.interrupt().await?;
    ensure!(status.success(), "techleet up ended with {status}");

    let requests = seen.micros.len();
    let ms = |percent| percentile(&seen.micros, percent).map(|micros| f64::from(micros) / 1000.0);
    Ok(Created {
        load,
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
    })
}

fn target(backbone: &Backbone, load: Load) -> anyhow::Result<Target> {
    let from = Instant::now() + WARM_UP;
    Ok(Target {
        address: backbone.user_service().trim_start_matches("http://").parse()?,
        authorization: format!("Bearer {}", backbone.operator_token()),
        from,
        until: from + Duration::from_secs(load.seconds.into()),
    })
}

/// Creates employees over one connection, one after the other, until the time is over.
async fn ask(target: Arc<Target>, connection: u16) -> anyhow::Result<Seen> {
    let stream = TcpStream::connect(target.address).await.context("connect to the user-service")?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(driver);
    let mut seen = Seen::default();
    let mut began = Instant::now();
    while began < target.until {
        let request = request(&target, &format!("an{connection}n{}@example.com", seen.answers))?;
        tokio::time::timeout(ANSWER_MAX, create(&mut sender, request)).await.context("no answer in time")??;
        let ended = Instant::now();
        seen.answers += 1;
        if (target.from..target.until).contains(&ended) {
            seen.micros.push(u32::try_from((ended - began).as_micros())?);
        }
        began = ended;
    }
    drop(sender);
    driver.await??;
    Ok(seen)
}

fn request(target: &Target, email: &str) -> anyhow::Result<Request<Full<Bytes>>> {
    let body = json!({"firstName": "An", "lastName": "Tran", "email": email}).to_string();
    let request = Request::post("/api/v1/users")
        .header(header::HOST, target.address.to_string())
        .header(header::AUTHORIZATION, &target.authorization)
        .header(header::CONTENT_TYPE, "application/json");
    Ok(request.body(Full::from(body))?)
}

async fn create(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> anyhow::Result<()> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status == StatusCode::CREATED, "answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
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

impl Rows for Created {
    fn headings(&self) -> Vec<&'static str> {
        vec!["POST /api/v1/users", ""]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let at_rest = self.cpu_seconds_per_10000_requests_at_rest;
        let rows = [
            ("connections", self.load.connections.to_string()),
            ("seconds", self.load.seconds.to_string()),
            ("requests", self.requests.to_string()),
            ("requests/s", format!("{:.0}", self.requests_per_second)),
            ("p50, ms", format!("{:.2}", self.p50_ms)),
            ("p99, ms", format!("{:.2}", self.p99_ms)),
            ("CPU s per 10,000 requests, under load", format!("{:.2}", self.cpu_seconds_per_10000_requests)),
            (
                "CPU s per 10,000 requests, until at rest",
                at_rest.map_or_else(|| "not at rest in time".to_owned(), |cpu| format!("{cpu:.2}")),
            ),
            ("RSS idle, MiB", format!("{:.1}", self.rss_idle_mib)),
            ("RSS loaded, MiB", format!("{:.1}", self.rss_loaded_mib)),
        ];
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }
}
