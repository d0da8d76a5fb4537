//! The whole system as processes that can be killed and started again on the same ports: in one process, or each part
//! in its own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use demo::Addresses;
use eventkit::transport::kafka::KafkaConfig;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::balancer::Balancer;
use crate::gateway::Gateway;
use crate::ground::Ground;
use crate::program::{self, Ran};
use crate::small_disk::SmallDisk;
use crate::wall_clock::WallClock;

/// How long a start may take on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How long a process may take until it ends by itself at a failpoint.
const END_MAX: Duration = Duration::from_secs(60);
/// What the program reads to know where it is to die.
const FAILPOINT_VARIABLE: &str = "TECHLEET_TEST_FAILPOINT";

/// The ports that systems are given.
const PORT_FIRST: u16 = 20_000;
const PORTS_COUNT: u16 = 10_000;

/// The broker's process when parts run apart.
pub const BROKER: &str = "broker";
/// The only process when everything runs together.
pub const UP: &str = "up";
/// A second copy of the container beside the first, for a test that starts it.
pub const CONTAINER_COPY: &str = "container-copy";
/// The parts, in the order in which they start, with the configuration key of their address.
pub const PARTS: [(&str, &str); 4] = [
    ("user-service", "user_service.listen"),
    ("company-service", "company_service.listen"),
    ("recruitment-service", "recruitment_service.listen"),
    ("container", "container.listen"),
];

/// The second copies of services, with what they are a copy of.
const SECOND_COPIES: [(&str, &str); 3] = [
    ("user-service-2", "user-service"),
    ("company-service-2", "company-service"),
    ("recruitment-service-2", "recruitment-service"),
];

/// How the parts are spread over processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `techleet up`.
    Together,
    /// `techleet broker` and a `techleet run` for each part.
    Apart,
    /// As [`Layout::Apart`], each service twice behind a load balancer. The settings have to name a database that
    /// copies can share, and an operator token.
    Copies,
}

/// The system, running.
#[derive(Debug)]
pub struct System {
    layout: Layout,
    folder: PathBuf,
    ports: BTreeMap<&'static str, SocketAddr>,
    children: BTreeMap<&'static str, Child>,
    settings: Vec<String>,
    gateway: Gateway,
    balancers: BTreeMap<&'static str, Balancer>,
    /// Apache Kafka, in the place of a broker of the system's own, and how whoever looks at it logs in there.
    kafka: Option<KafkaConfig>,
    /// What only one process is told.
    own_settings: BTreeMap<&'static str, Vec<String>>,
    /// Where what the processes say on stderr is kept, a file each.
    logs: Option<PathBuf>,
    /// Where the next process that starts is to die.
    armed: Option<String>,
    /// What stands in every process's environment beside that of this one.
    variables: Vec<(&'static str, PathBuf)>,
    /// What the command of a process begins with.
    entrances: BTreeMap<&'static str, Vec<String>>,
}

impl System {
    /// Starts everything on free ports over `folder`; ready when this returns.
    ///
    /// # Errors
    /// A process does not get ready; what it said on stderr is on this process's.
    pub async fn start(layout: Layout, folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(layout, folder, &[]).await
    }

    /// As [`System::start`], with settings (`key=value`) for every process.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn start_with(layout: Layout, folder: &Path, settings: &[String]) -> anyhow::Result<Self> {
        let mut system = Self::prepare(layout, folder, settings).await?;
        system.start_all().await?;
        Ok(system)
    }

    /// As [`System::start_with`], on another ground than a broker, databases and sessions of its own.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn start_on(ground: &Ground, layout: Layout, folder: &Path, settings: &[String]) -> anyhow::Result<Self> {
        Self::start_at(ground.brokers(), layout, folder, &[ground.settings(), settings].concat()).await
    }

    /// As [`System::start_with`], with Apache Kafka at `kafka`, if it is given, in the place of a broker of its own.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn start_at(
        kafka: Option<String>,
        layout: Layout,
        folder: &Path,
        settings: &[String],
    ) -> anyhow::Result<Self> {
        let mut system = Self::prepare(layout, folder, settings).await?;
        if let Some(brokers) = kafka {
            system.stand_on(KafkaConfig { brokers, ..KafkaConfig::default() });
        }
        system.start_all().await?;
        Ok(system)
    }

    /// Puts Apache Kafka in the place of a broker of its own. Tests and the program's commands log in as `kafka` says; a
    /// password has to be in a file.
    pub fn stand_on(&mut self, kafka: KafkaConfig) {
        self.kafka = Some(kafka);
    }

    /// Gives one process a setting (`key=value`) of its own, from its next start on.
    pub fn configure_process(&mut self, process: &'static str, setting: String) {
        self.own_settings.entry(process).or_default().push(setting);
    }

    /// Gives every process this wall clock, from its next start on.
    pub fn go_by(&mut self, clock: &WallClock) {
        self.variables.extend(clock.variables());
    }

    /// Has one process see this disk, from its next start on.
    ///
    /// # Errors
    /// The disk is gone.
    pub fn put_on(&mut self, process: &'static str, disk: &SmallDisk) -> anyhow::Result<()> {
        self.entrances.insert(process, disk.entrance()?);
        Ok(())
    }

    /// Keeps what the processes say on stderr in this folder, from their next start on.
    pub fn keep_logs(&mut self, folder: PathBuf) {
        self.logs = Some(folder);
    }

    /// Starts every process.
    ///
    /// # Errors
    /// One does not get ready.
    pub async fn start_all(&mut self) -> anyhow::Result<()> {
        for process in self.processes() {
            self.start_process(process).await?;
        }
        Ok(())
    }

    /// As [`System::start_with`], with nothing started yet.
    ///
    /// # Errors
    /// No port is free.
    pub async fn prepare(layout: Layout, folder: &Path, settings: &[String]) -> anyhow::Result<Self> {
        let gateway = Gateway::start().await?;
        let mut system = Self {
            layout,
            folder: folder.to_owned(),
            ports: free_ports()?,
            children: BTreeMap::new(),
            settings: [settings, &gateway.settings()].concat(),
            gateway,
            balancers: BTreeMap::new(),
            kafka: None,
            own_settings: BTreeMap::new(),
            logs: None,
            armed: None,
            variables: Vec::new(),
            entrances: BTreeMap::new(),
        };
        system.balance().await?;
        Ok(system)
    }

    /// The names of its processes, in the order in which they start.
    pub fn processes(&self) -> Vec<&'static str> {
        let own_broker = self.kafka.is_none().then_some(BROKER);
        match self.layout {
            Layout::Together => vec![UP],
            Layout::Apart => own_broker.into_iter().chain(PARTS.map(|(part, _)| part)).collect(),
            Layout::Copies => {
                let copies = SECOND_COPIES.map(|(copy, _)| copy);
                own_broker.into_iter().chain(PARTS.map(|(part, _)| part)).chain(copies).collect()
            }
        }
    }

    /// Puts a balancer before the copies of each service, and tells every part of it.
    async fn balance(&mut self) -> anyhow::Result<()> {
        if self.layout != Layout::Copies {
            return Ok(());
        }
        for (copy, part) in SECOND_COPIES {
            self.balancers.insert(part, Balancer::start(&[self.ports[part], self.ports[copy]]).await?);
        }
        self.settings.push(format!("auth.user_service_url={}", self.url("user-service")));
        Ok(())
    }

    /// How many requests each copy of a service answered.
    ///
    /// # Panics
    /// It has one copy only.
    pub fn answered(&self, service: &str) -> Vec<usize> {
        self.balancers[service].answered()
    }

    /// Starts a process of it; ready when this returns.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn start_process(&mut self, process: &'static str) -> anyhow::Result<()> {
        let armed = self.armed.take();
        let mut command = self.command(process)?;
        command.envs(armed.iter().map(|spec| (FAILPOINT_VARIABLE, spec)));
        if let Some(folder) = &self.logs {
            let log = folder.join(format!("{process}.log"));
            command.stderr(std::fs::File::options().create(true).append(true).open(log)?);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().context("start techleet")?;
        let stdout = child.stdout.take().context("a piped stdout")?;
        self.children.insert(process, child);
        let mut lines = BufReader::new(stdout).lines();
        let is_ready = |line: &str| match process {
            UP => line.starts_with("ready in "),
            process => line.starts_with(part_of(process)),
        };
        tokio::time::timeout(START_MAX, async {
            while let Some(line) = lines.next_line().await? {
                if is_ready(&line) {
                    return Ok(());
                }
            }
            bail!("{process} ended before it was ready")
        })
        .await
        .with_context(|| format!("{process} did not get ready"))??;
        // What else it prints must have somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(())
    }

    /// Has the process that starts next die at a failpoint, `NAME[@SCOPE][:NTH]`, or do what else is said of it.
    pub fn arm(&mut self, spec: &str) {
        self.armed = Some(spec.to_owned());
    }

    /// Adds a setting (`key=value`) for the processes that start from now on.
    pub fn configure(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Waits until a process has ended by itself.
    ///
    /// # Errors
    /// It does not end.
    pub async fn wait_for_end(&mut self, process: &'static str) -> anyhow::Result<ExitStatus> {
        let mut child = self.children.remove(process).with_context(|| format!("{process} does not run"))?;
        Ok(tokio::time::timeout(END_MAX, child.wait()).await.with_context(|| format!("{process} does not end"))??)
    }

    /// Whether a process has ended by itself.
    ///
    /// # Errors
    /// It was never started.
    pub fn has_ended(&mut self, process: &'static str) -> anyhow::Result<bool> {
        let child = self.children.get_mut(process).with_context(|| format!("{process} does not run"))?;
        Ok(child.try_wait()?.is_some())
    }

    /// Has a process stand still; every thread of it does when this returns.
    ///
    /// # Errors
    /// It is gone already.
    pub async fn freeze(&self, process: &'static str) -> anyhow::Result<()> {
        let pid = self.pid(process)?;
        kill_process(pid, Signal::STOP)?;
        let stopped = tokio::task::spawn_blocking(move || waitpid(Some(pid), WaitOptions::UNTRACED));
        let status = stopped.await??.with_context(|| format!("nothing is known of {process}"))?;
        ensure!(status.1.stopped(), "{process} ended instead of standing still");
        Ok(())
    }

    /// Has a process go on that stands still.
    ///
    /// # Errors
    /// It is gone already.
    pub fn thaw(&self, process: &'static str) -> anyhow::Result<()> {
        Ok(kill_process(self.pid(process)?, Signal::CONT)?)
    }

    fn pid(&self, process: &'static str) -> anyhow::Result<Pid> {
        let child = self.children.get(process).with_context(|| format!("{process} does not run"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        pid.with_context(|| format!("{process} is gone already"))
    }

    /// kill -9 of one process; it is gone when this returns.
    ///
    /// # Errors
    /// It is gone already.
    pub async fn kill(&mut self, process: &'static str) -> anyhow::Result<()> {
        self.end(process, Signal::KILL).await.map(drop)
    }

    /// Ctrl-C for one process; it has ended well when this returns.
    ///
    /// # Errors
    /// It does not end in time, or ends with a failure.
    pub async fn interrupt(&mut self, process: &'static str) -> anyhow::Result<()> {
        let status = self.end(process, Signal::INT).await?;
        ensure!(status.success(), "{process} ended with {status}");
        Ok(())
    }

    /// The number of a process.
    ///
    /// # Errors
    /// It does not run.
    pub fn process_id(&self, process: &str) -> anyhow::Result<u32> {
        self.children.get(process).and_then(Child::id).with_context(|| format!("{process} does not run"))
    }

    /// How much memory a process has in use, in bytes.
    ///
    /// # Errors
    /// It does not run, or this system does not tell.
    pub fn memory_bytes(&self, process: &str) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.process_id(process)?);
        let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")).context("VmRSS")?.trim().parse()?;
        Ok(kib * 1024)
    }

    /// Ctrl-C for every process that runs, the last one started first; all must end well.
    ///
    /// # Errors
    /// One does not end in time, or ends with a failure.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let started = |process: &&str| self.children.contains_key(process);
        let processes: Vec<_> = self.processes().into_iter().rev().filter(started).collect();
        for process in processes {
            self.interrupt(process).await?;
        }
        Ok(())
    }

    async fn end(&mut self, process: &'static str, signal: Signal) -> anyhow::Result<ExitStatus> {
        kill_process(self.pid(process)?, signal)?;
        let mut child = self.children.remove(process).with_context(|| format!("{process} does not run"))?;
        Ok(tokio::time::timeout(STOP_MAX, child.wait()).await.with_context(|| format!("{process} does not end"))??)
    }

    /// `host:port` of the broker.
    pub fn broker(&self) -> String {
        self.kafka().brokers
    }

    /// How to get to the broker.
    pub fn kafka(&self) -> KafkaConfig {
        let own = || KafkaConfig { brokers: self.ports[BROKER].to_string(), ..KafkaConfig::default() };
        self.kafka.clone().unwrap_or_else(own)
    }

    /// `http://host:port` of a part, or of the balancer before its copies.
    pub fn url(&self, part: &str) -> String {
        let address = self.balancers.get(part).map_or(self.ports[part], Balancer::address);
        format!("http://{address}")
    }

    /// `http://host:port` of one process, without a balancer.
    pub fn url_of_process(&self, process: &str) -> String {
        format!("http://{}", self.ports[process])
    }

    /// Where the services are.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            users: self.url("user-service"),
            companies: self.url("company-service"),
            recruitment: self.url("recruitment-service"),
        }
    }

    /// Where text messages and push notices go.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The data directory that a part uses.
    pub fn data_dir(&self, part: &str) -> PathBuf {
        match self.layout {
            Layout::Together => self.folder.clone(),
            Layout::Apart | Layout::Copies => self.folder.join(part),
        }
    }

    /// The operator token of a part.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn operator_token(&self, part: &str) -> anyhow::Result<String> {
        let configured = self.settings.iter().find_map(|setting| setting.strip_prefix("auth.operator_token="));
        if let Some(token) = configured {
            return Ok(token.to_owned());
        }
        let path = self.data_dir(part).join("operator.token");
        let token = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(token.trim().to_owned())
    }

    /// Runs one of the program's commands as the operator of `part`.
    ///
    /// # Errors
    /// It cannot be run, or takes too long.
    pub async fn run(&self, part: &str, args: &[&str]) -> anyhow::Result<Ran> {
        self.run_with_input(part, args, "").await
    }

    /// As [`System::run`], with `input` on the command's stdin.
    ///
    /// # Errors
    /// As [`System::run`].
    pub async fn run_with_input(&self, part: &str, args: &[&str], input: &str) -> anyhow::Result<Ran> {
        self.run_with(part, args, input, None).await
    }

    /// As [`System::run`], and has the command die at a failpoint.
    ///
    /// # Errors
    /// As [`System::run`].
    pub async fn run_armed(&self, part: &str, args: &[&str], spec: &str) -> anyhow::Result<Ran> {
        self.run_with(part, args, "", Some((FAILPOINT_VARIABLE, spec))).await
    }

    /// As [`System::run`], with the command's stderr on a terminal.
    ///
    /// # Errors
    /// As [`System::run`].
    pub async fn run_on_terminal(&self, part: &str, args: &[&str]) -> anyhow::Result<Ran> {
        let data_dir = self.data_dir(part).display().to_string();
        program::run_on_terminal(&self.command_settings(), &[&["--data-dir", &data_dir], args].concat()).await
    }

    async fn run_with(
        &self,
        part: &str,
        args: &[&str],
        input: &str,
        variable: Option<(&str, &str)>,
    ) -> anyhow::Result<Ran> {
        let data_dir = self.data_dir(part).display().to_string();
        let args = [&["--data-dir", &data_dir], args].concat();
        program::run_set(&self.command_settings(), &args, input, variable).await
    }

    /// What tells a command where everything is, and how to log in there.
    fn command_settings(&self) -> Vec<String> {
        let login = self.kafka.iter().flat_map(login_settings);
        self.settings.iter().cloned().chain(self.listen_settings()).chain(login).collect()
    }

    fn command(&self, process: &'static str) -> anyhow::Result<Command> {
        let program = program::path()?;
        let mut command = match self.entrances.get(process).and_then(|words| words.split_first()) {
            None => Command::new(program),
            Some((first, others)) => {
                let mut command = Command::new(first);
                command.args(others).arg(program);
                command
            }
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.arg("--data-dir").arg(self.data_dir(process));
        for setting in self.settings.iter().chain(&self.listen_settings()) {
            // An address of Kafka would mean that no broker is to be embedded.
            if process != UP || self.kafka.is_some() || !setting.starts_with("kafka.brokers=") {
                program::set(&mut command, setting);
            }
        }
        if let Some((_, key)) = PARTS.iter().find(|(part, _)| *part == part_of(process)) {
            // Of two copies, each listens on its own.
            command.arg("--set").arg(format!("{key}={}", self.ports[process]));
        }
        for setting in self.own_settings.get(process).into_iter().flatten() {
            program::set(&mut command, setting);
        }
        match process {
            UP | BROKER => command.arg(process),
            process => command.args(["run", part_of(process)]),
        };
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    fn listen_settings(&self) -> Vec<String> {
        let parts = PARTS.iter().map(|(part, key)| format!("{key}={}", self.ports[part]));
        parts
            .chain([format!("broker.listen={}", self.ports[BROKER]), format!("kafka.brokers={}", self.broker())])
            .collect()
    }
}

/// The settings with which a process logs in at a cluster.
pub fn login_settings(kafka: &KafkaConfig) -> Vec<String> {
    let settings = [
        ("security_protocol", &kafka.security_protocol),
        ("sasl_mechanism", &kafka.sasl_mechanism),
        ("sasl_username", &kafka.sasl_username),
        ("sasl_password_file", &kafka.sasl_password_file),
        ("ssl_ca", &kafka.ssl_ca),
        ("ssl_certificate", &kafka.ssl_certificate),
        ("ssl_key", &kafka.ssl_key),
    ];
    let said = settings.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| format!("kafka.{key}={value}")).collect()
}

/// What a process runs.
fn part_of(process: &str) -> &str {
    if process == CONTAINER_COPY {
        return "container";
    }
    SECOND_COPIES.iter().find(|(copy, _)| *copy == process).map_or(process, |(_, part)| part)
}

/// Ports that nobody listens on and nobody else is given: the system must find them free again after each kill, so they
/// are below those that the operating system gives to connections, and no two systems of a test run share one.
fn free_ports() -> anyhow::Result<BTreeMap<&'static str, SocketAddr>> {
    let names = PARTS.iter().chain(&SECOND_COPIES).map(|(name, _)| *name).chain([CONTAINER_COPY, BROKER]);
    names.map(|name| Ok((name, free_port()?))).collect()
}

/// One such port, for a process that is none of the system's.
///
/// # Errors
/// None is free.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Test runs of several processes begin in different places.
    let first = u16::try_from(std::process::id() % u32::from(PORTS_COUNT))?;
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        ensure!(tried < PORTS_COUNT, "no port is free from {PORT_FIRST} on");
        let address = SocketAddr::from(([127, 0, 0, 1], PORT_FIRST + (first + tried) % PORTS_COUNT));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}
