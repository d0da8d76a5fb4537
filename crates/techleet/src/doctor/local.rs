//! What is to be checked on this machine: the data directory, the ports, the databases, Redis.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use chassis::{DataDir, Databases, Redis, RedisConfig, RedisError, Settings};
use ops::health::Finding;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};

/// Where parts listen: the key of the address, and whether they answer HTTP there.
const LISTENERS: [(&str, bool); 6] = [
    ("broker.listen", false),
    ("user_service.listen", true),
    ("company_service.listen", true),
    ("recruitment_service.listen", true),
    ("container.listen", true),
    ("console.listen", true),
];
/// The parts that have a database.
const PARTS: [&str; 4] = ["user-service", "company-service", "recruitment-service", "container"];
/// How long a port may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// What `/health/ready` answers, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Readiness {
    status: String,
}

/// Checks this machine.
pub(super) async fn check(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let path: PathBuf = settings.get("data_dir")?;
    let (finding, held) = data_dir(&path);
    let is_running = matches!(held, Held::ByAnother);
    let mut findings = vec![finding];
    for (key, is_http) in LISTENERS {
        // A part that this program does not have has no key either.
        let Ok(address) = settings.get::<String>(key) else { continue };
        if address.is_empty() || address.ends_with(":0") {
            continue;
        }
        let check = format!("port {address}");
        findings.push(match is_running {
            true => answering(check, key, &address, is_http).await,
            false => free(check, key, &address).await,
        });
    }
    match held {
        Held::ByUs(data_dir) => findings.extend(databases(settings, &data_dir).await?),
        Held::ByAnother => findings.push(Finding::ok("databases", "open in the parts that run; /health/ready tells")),
        Held::NotThere => findings.push(Finding::ok("databases", "none yet; the first start makes them")),
        Held::Unusable => {}
    }
    findings.extend(redis(&settings.section("redis")?).await);
    Ok(findings)
}

/// Redis, where one is configured.
async fn redis(config: &RedisConfig) -> Option<Finding> {
    let check = format!("redis {}:{}", config.host, config.port);
    let answer = match Redis::new(config) {
        Ok(None) => return None,
        Ok(Some(redis)) => redis.info().await,
        Err(error) => Err(error),
    };
    Some(match answer {
        Ok(info) => match info.evicts {
            None => Finding::ok(check, format!("answers: version {}", info.version)),
            Some(policy) => {
                let advice = "set maxmemory-policy to noeviction, so that a mark of a change is never thrown away";
                Finding::warning(check, format!("throws keys away when its memory is full: {policy}"), advice)
            }
        },
        Err(RedisError::Login(_)) => {
            Finding::wrong(check, "refuses the login", "set REDIS_PASSWORD, or redis.password, to its requirepass")
        }
        Err(error) => {
            let advice = "start it, for example with background/start-infrastructure.sh start --only redis; \
                          or do without: REDIS_HOST=\"\" and user_service.sessions=database";
            Finding::wrong(check, eventkit::chain(&error), advice)
        }
    })
}

/// Who has the data directory.
enum Held {
    ByUs(DataDir),
    ByAnother,
    NotThere,
    Unusable,
}

fn data_dir(path: &Path) -> (Finding, Held) {
    let check = format!("data directory {}", path.display());
    if !path.exists() {
        return (Finding::ok(check, "is not there yet; the first start makes it"), Held::NotThere);
    }
    match DataDir::open(path) {
        Ok(held) => (Finding::ok(check, "can be written; nothing runs on it"), Held::ByUs(held)),
        Err(chassis::Error::DataDirInUse { pid, .. }) => {
            (Finding::ok(check, format!("in use by process {pid}")), Held::ByAnother)
        }
        Err(error) => {
            let advice = "choose another with --data-dir, or let this user write there";
            (Finding::wrong(check, eventkit::chain(&error), advice), Held::Unusable)
        }
    }
}

/// Nothing runs: the port must be free.
async fn free(check: String, key: &str, address: &str) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::ok(check, "free"),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let advice = format!("stop the program that has it, or choose another with --set {key}=HOST:PORT");
            Finding::wrong(check, "another program has it", advice)
        }
        Err(error) => {
            let advice = format!("choose an address of this machine with --set {key}=HOST:PORT");
            Finding::wrong(check, format!("cannot be listened on: {error}"), advice)
        }
    }
}

/// Something runs: its parts must answer.
async fn answering(check: String, key: &str, address: &str, is_http: bool) -> Finding {
    let connected = tokio::time::timeout(ANSWER_MAX, TcpStream::connect(address)).await;
    if !matches!(connected, Ok(Ok(_))) {
        let advice = format!("if its part should run, look at its log; {key} says where it should listen");
        return Finding::warning(check, "nobody listens", advice);
    }
    if !is_http {
        return Finding::ok(check, "answers");
    }
    match readiness(address).await {
        Ok(ready) if ready.status == "ready" => Finding::ok(check, "ready"),
        Ok(ready) => {
            let advice = format!("see what is the matter: curl http://{address}/health/ready");
            match ready.status == "down" {
                true => Finding::wrong(check, "not ready", advice),
                false => Finding::warning(check, ready.status, advice),
            }
        }
        Err(error) => {
            let advice = format!("another program may have the port: choose one with --set {key}=HOST:PORT");
            Finding::wrong(check, format!("does not tell whether it is ready: {error:#}"), advice)
        }
    }
}

async fn readiness(address: &str) -> anyhow::Result<Readiness> {
    let request = chassis::net::client().get(format!("http://{address}/health/ready")).timeout(ANSWER_MAX);
    let answer = request.send().await?;
    let body = answer.bytes().await?;
    serde_json::from_slice(&body).map_err(|_| anyhow!("it answered something else"))
}

/// The databases that are there already can be opened.
async fn databases(settings: &Settings, data_dir: &DataDir) -> anyhow::Result<Vec<Finding>> {
    let url: String = settings.get("database.url")?;
    let databases = Databases::new(settings, data_dir)?;
    let mut findings = Vec::new();
    for part in PARTS {
        let file = data_dir.path().join(part).join(format!("{part}.db"));
        if url.is_empty() && !file.exists() {
            continue;
        }
        let check = format!("database of {part}");
        findings.push(match open(&databases, part).await {
            Ok(()) => Finding::ok(check, "can be opened"),
            Err(error) => {
                let advice = "see that the file or server is there and yours to read and write; \
                              restore it from a copy if it is damaged";
                Finding::wrong(check, format!("cannot be opened: {error:#}"), advice)
            }
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("databases", "none yet; the first start makes them"));
    }
    Ok(findings)
}

async fn open(databases: &Databases, part: &str) -> anyhow::Result<()> {
    let db = databases.open(part).await?;
    let answered = db.query_opt("select 1 as one", &[]).await;
    db.close().await;
    answered?;
    Ok(())
}
