//! `techleet up` as a child process on ports of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::mailbox;
use crate::program::{self, Ran};

/// How long a start may take on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A running backbone.
#[derive(Debug)]
pub struct Backbone {
    child: Child,
    data_dir: PathBuf,
    broker: String,
    user_service: String,
    company_service: String,
    recruitment_service: String,
    container: String,
    /// The commands that it said to try, as they are to be pasted.
    pub commands: Vec<String>,
    /// What it said about how long the start took, in milliseconds.
    pub ready_ms: u64,
    client: reqwest::Client,
    token: String,
}

impl Backbone {
    /// Starts everything on free ports over `data_dir`; ready when this returns.
    ///
    /// # Errors
    /// It does not get ready; what it said on stderr is on this process's.
    pub async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(data_dir, &[]).await
    }

    /// As [`Backbone::start`], with settings (`key=value`); with `kafka.brokers` it has no broker of its own.
    ///
    /// # Errors
    /// As [`Backbone::start`].
    pub async fn start_with(data_dir: &Path, settings: &[String]) -> anyhow::Result<Self> {
        let mut command = command(data_dir)?;
        for setting in settings {
            program::set(&mut command, setting);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().context("start techleet up")?;
        let stdout = child.stdout.take().context("a piped stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut said = Said::default();
        tokio::time::timeout(START_MAX, async {
            while let Some(line) = lines.next_line().await? {
                if said.hear(&line)? {
                    return Ok(());
                }
            }
            bail!("it ended before it was ready")
        })
        .await
        .context("it did not get ready")??;
        let Said { addresses, ready_ms, commands } = said;
        // What else it prints must have somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = |part: &str| {
            let found = addresses.iter().find(|(name, _)| name == part);
            found.map(|(_, address)| address.clone()).with_context(|| format!("no address of {part}"))
        };
        let token = std::fs::read_to_string(data_dir.join("operator.token"))?.trim().to_owned();
        Ok(Self {
            broker: address("broker").or_else(|_| address("kafka"))?,
            user_service: address("user-service")?,
            company_service: address("company-service")?,
            recruitment_service: address("recruitment-service")?,
            container: address("container")?,
            child,
            data_dir: data_dir.to_owned(),
            commands,
            ready_ms: ready_ms.context("it did not say how long the start took")?,
            client: chassis::net::client(),
            token,
        })
    }

    /// `host:port` of the broker.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// `http://host:port` of the user-service.
    pub fn user_service(&self) -> &str {
        &self.user_service
    }

    /// `http://host:port` of the company-service.
    pub fn company_service(&self) -> &str {
        &self.company_service
    }

    /// `http://host:port` of the recruitment-service.
    pub fn recruitment_service(&self) -> &str {
        &self.recruitment_service
    }

    /// `http://host:port` of the container.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The operator's token.
    pub fn operator_token(&self) -> &str {
        &self.token
    }

    /// The number of its process.
    ///
    /// # Errors
    /// It is gone already.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        self.child.id().context("it is gone already")
    }

    /// A POST of JSON to the user-service, with the operator's token.
    pub fn post_user(&self, body: &serde_json::Value) -> reqwest::RequestBuilder {
        self.post(&format!("{}/api/v1/users", self.user_service), body)
    }

    /// A POST of JSON to any part, with the operator's token.
    pub fn post(&self, url: &str, body: &serde_json::Value) -> reqwest::RequestBuilder {
        self.client.post(url).bearer_auth(&self.token).json(body)
    }

    /// A GET of a path of the user-service, without a token.
    pub fn get_user_service(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.user_service))
    }

    /// Runs one of the program's commands against this backbone.
    ///
    /// # Errors
    /// It cannot be run, or takes too long.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<Ran> {
        let data_dir = self.data_dir.display().to_string();
        let brokers = format!("kafka.brokers={}", self.broker);
        let container = format!("container.listen={}", self.container.trim_start_matches("http://"));
        let own = ["--data-dir", &data_dir, "--set", &brokers, "--set", &container];
        program::run(&[&own, args].concat()).await
    }

    /// The records of changed data in the audit trail; starts and refusals are in it too.
    ///
    /// # Errors
    /// The trail cannot be listed.
    pub async fn audited(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let listed = self.run(&["audit", "list", "--limit", "100000", "--format", "json"]).await?;
        let records = listed.stdout.lines().map(serde_json::from_str);
        let records = records.collect::<Result<Vec<serde_json::Value>, _>>()?;
        let is_creation = |record: &serde_json::Value| {
            let entity = record["entity"].as_str().unwrap_or_default();
            entity.starts_with("user-") && record["envelope"]["data"]["action"] == "create"
        };
        Ok(records.into_iter().filter(is_creation).collect())
    }

    /// The mails written so far.
    ///
    /// # Errors
    /// The mailbox cannot be read.
    pub fn mails(&self) -> anyhow::Result<Vec<mailbox::Mail>> {
        mailbox::read(&self.data_dir.join("mailbox"))
    }

    /// kill -9, while others may be talking to it.
    ///
    /// # Errors
    /// It is gone already.
    pub fn kill(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid()?, Signal::KILL)?)
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn wait(mut self) -> anyhow::Result<ExitStatus> {
        Ok(tokio::time::timeout(STOP_MAX, self.child.wait()).await.context("it does not stop")??)
    }

    /// Ctrl-C, and waits for the end.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn interrupt(self) -> anyhow::Result<ExitStatus> {
        self.ask_to_stop()?;
        self.wait().await
    }

    /// Ctrl-C; it may take its time.
    ///
    /// # Errors
    /// It is gone already.
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid()?, Signal::INT)?)
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        Pid::from_raw(self.process_id()?.cast_signed()).context("it is gone already")
    }
}

/// How many commands it says to try.
const COMMANDS: usize = 3;

/// What a start says, line by line.
#[derive(Debug, Default)]
struct Said {
    addresses: Vec<(String, String)>,
    ready_ms: Option<u64>,
    commands: Vec<String>,
}

impl Said {
    /// Takes a line; true when it was the last of what a start says.
    fn hear(&mut self, line: &str) -> anyhow::Result<bool> {
        if let Some(rest) = line.strip_prefix("ready in ") {
            self.ready_ms = Some(rest.trim_end_matches(" ms").parse()?);
        } else if self.ready_ms.is_none() {
            let mut words = line.split_whitespace();
            if let (Some(part), Some(address)) = (words.next(), words.next()) {
                self.addresses.push((part.to_owned(), address.to_owned()));
            }
        } else if let Some(text) = line.strip_prefix("  ") {
            match self.commands.last_mut().filter(|command| command.ends_with('\\')) {
                Some(command) => command.extend(["\n", text]),
                None => self.commands.push(text.to_owned()),
            }
        }
        Ok(self.commands.len() == COMMANDS && !line.ends_with('\\'))
    }
}

/// `techleet up` on free ports.
///
/// # Errors
/// The program does not build.
pub fn command(data_dir: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program::path()?);
    command.arg("--data-dir").arg(data_dir);
    for key in [
        "broker.listen",
        "user_service.listen",
        "company_service.listen",
        "recruitment_service.listen",
        "container.listen",
    ] {
        command.arg("--set").arg(format!("{key}=127.0.0.1:0"));
    }
    command.arg("up").stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}
