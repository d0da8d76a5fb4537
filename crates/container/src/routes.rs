//! Routes in the container: Camel's YAML files, deployed while it runs.
//!
//! - `kafka`, `events`, `http`, `platform_http`, `notify` (and `audit:`), `directory`: what routes reach.
//! - `work`: what is stored together with the event that it follows from.
//! - `state`: what steps remember between exchanges, in the database.
//! - `folder`, `deploy`, `revisions`: files become routes, and each text that ran keeps its number.
//! - `api`: what an operator sees of them and has them do; `seen`: what they do, as metrics and for the health.

mod api;
mod deploy;
mod directory;
mod events;
mod folder;
mod http;
mod kafka;
mod notify;
mod platform_http;
mod revisions;
mod seen;
mod state;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use eventkit::EventPublisher;
use eventkit::transport::Transport;
use routes::components::{Component, ComponentSpec, kafka::Kafka};
use routes::language::Properties;
use routes::run::Masking;
use routes::{Engine, Setup};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::ConsumerMaker;
use crate::error::Error;
pub(crate) use api::api;
use deploy::Deployment;
use folder::{Folder, Watch, Writers};
pub(crate) use notify::Desk;
use platform_http::PlatformHttp;
use revisions::Revisions;
use seen::Observer;
pub(crate) use seen::StandingStill;
use state::{Expiry, RouteState};
pub(crate) use work::Counted;

/// The routes that TechLeet itself brings: a file of the same name in the folder takes the place of one.
const BUILT_IN: &[(&str, &str)] = &[
    ("told.yaml", include_str!("../../../deploy/routes/told.yaml")),
    ("looked-up.yaml", include_str!("../../../deploy/routes/looked-up.yaml")),
];

/// What the addresses of the container's own components may say; for who checks and tests files without it.
pub fn component_specs() -> &'static [&'static ComponentSpec] {
    static SPECS: &[&ComponentSpec] = &[&events::EVENTS, &notify::NOTIFY, &notify::AUDIT, &directory::DIRECTORY];
    SPECS
}

/// What routes are made of and reach.
pub(crate) struct Parts {
    pub(crate) publisher: EventPublisher,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) consumers: Arc<dyn ConsumerMaker>,
    pub(crate) directory: crate::directory::Directory,
    pub(crate) desk: Desk,
    pub(crate) instance: Option<String>,
    pub(crate) properties: Properties,
    /// How long what routes remember is kept when nobody touches it.
    pub(crate) state_keep_ms: i64,
    pub(crate) folder: PathBuf,
    /// What a trace shows of messages.
    pub(crate) masking: Masking,
}

/// The routes of a container; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deployment: Deployment,
    folder: Folder,
    platform_http: PlatformHttp,
    expiry: Expiry,
    masking: Masking,
    still: StandingStill,
    /// Whoever looks at the folder takes turns.
    look: tokio::sync::Mutex<()>,
}

/// Routes that follow their folder.
#[derive(Debug)]
pub(crate) struct Following {
    routes: Routes,
    stop: CancellationToken,
    task: JoinHandle<()>,
    expiring: AbortHandle,
    observing: JoinHandle<()>,
}

impl Routes {
    /// Routes that do not run yet.
    pub(crate) fn new(parts: Parts) -> Result<Self, Error> {
        let unusable = |source| Error::RoutesFolder { path: parts.folder.clone(), source };
        let folder = Folder::open(parts.folder.clone()).map_err(unusable)?;
        let platform_http = PlatformHttp::default();
        let state = RouteState::new(&parts.publisher, parts.instance.as_deref());
        let expiry = Expiry { state: state.clone(), keep_ms: parts.state_keep_ms };
        let transport = kafka::EventkitTransport::new(parts.transport, parts.instance);
        let mut components: Vec<Arc<dyn Component>> = vec![
            Arc::new(Kafka::new(Arc::new(transport))),
            Arc::new(platform_http.clone()),
            events::component(parts.consumers),
            directory::component(&parts.directory),
        ];
        components.extend(http::components());
        components.extend(notify::components(&parts.desk));
        let setup = Setup {
            properties: parts.properties,
            names_by_file: true,
            components,
            state: Some(Arc::new(state)),
            ..Setup::default()
        };
        let deployment = Deployment::new(Engine::new(setup), Revisions::new(parts.publisher));
        Ok(Self(Arc::new(Inner {
            deployment,
            folder,
            platform_http,
            expiry,
            masking: parts.masking,
            still: StandingStill::default(),
            look: tokio::sync::Mutex::default(),
        })))
    }

    /// Deploys what is there, and follows the folder from then on.
    pub(crate) async fn follow(&self) -> Result<Following, Error> {
        let unusable = |source| Error::RoutesFolder { path: self.0.folder.path().to_owned(), source };
        let mut watch = Watch::new(&self.0.folder).map_err(unusable)?;
        if let Some(settles_in) = self.0.folder.settles_in().await {
            // Somebody may have been writing before we watched.
            tokio::time::sleep(settles_in).await;
        }
        self.look(&mut watch).await;
        if self.restore().await {
            // Once more, so that it is known why the newest texts are not taken.
            self.look(&mut watch).await;
        }
        let (routes, stop) = (self.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            loop {
                let changed = tokio::select! {
                    () = stopped.cancelled() => return,
                    changed = watch.changed() => changed,
                };
                if let Err(error) = changed {
                    tracing::error!(%error, "folder with routes can no longer be watched: restart the container");
                    return;
                }
                routes.look(&mut watch).await;
            }
        });
        let expiring = tokio::spawn(self.0.expiry.clone().run()).abort_handle();
        let observing = tokio::spawn(self.clone().observe());
        Ok(Following { routes: self.clone(), stop, task, expiring, observing })
    }

    /// Tells what the routes do, until the task is aborted.
    async fn observe(self) {
        let mut observer = Observer::new(self.0.still.clone());
        let mut interval = tokio::time::interval(seen::LOOK_INTERVAL);
        loop {
            interval.tick().await;
            observer.look(&self.0.deployment.engine().routes());
        }
    }

    /// Which routes stand still.
    pub(crate) fn standing_still(&self) -> StandingStill {
        self.0.still.clone()
    }

    /// Has what ran last go on for files that are refused at the start: spoiled while nobody watched, they do not take
    /// their routes away.
    async fn restore(&self) -> bool {
        let files = self.0.deployment.files();
        let mut wanted: BTreeMap<_, _> =
            files.iter().filter_map(|(name, file)| Some((name.clone(), file.running.as_ref()?.text.clone()))).collect();
        let mut is_restored = false;
        for name in files.iter().filter(|(_, file)| file.running.is_none()).map(|(name, _)| name) {
            match self.0.deployment.revisions().latest(name).await {
                Ok(revision) => {
                    let Some(text) = revision.and_then(|revision| revision.text) else { continue };
                    wanted.insert(name.clone(), text);
                    is_restored = true;
                }
                Err(error) => {
                    tracing::error!(file = name, error = eventkit::chain(&error), "revisions cannot be read");
                }
            }
        }
        if is_restored {
            self.0.deployment.apply(wanted, BTreeMap::new()).await;
        }
        is_restored
    }

    /// Looks at the folder and deploys what has changed.
    async fn look(&self, writers: &mut (impl Writers + Send)) {
        let _turn = self.0.look.lock().await;
        let found = match self.0.folder.look(writers).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "folder with routes cannot be read, what runs goes on");
                return;
            }
        };
        let mut files = found.files;
        for name in found.unfinished.iter().chain(found.unreadable.keys()) {
            if let Some(text) = self.0.deployment.running(name) {
                files.insert(name.clone(), text);
            }
        }
        let mut wanted = self.wanted(files);
        for name in &found.unfinished {
            // Whoever writes it wants something else than what TechLeet brings under its name.
            if self.0.deployment.running(name).is_none() && wanted.remove(name).is_some() {
                tracing::warn!(file = name, "nothing is deployed of a file until whoever writes it has closed it");
            }
        }
        self.0.deployment.apply(wanted, found.unreadable).await;
    }

    /// The files of the folder over those that TechLeet brings.
    fn wanted(&self, files: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut wanted: BTreeMap<_, _> =
            BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        wanted.extend(files);
        wanted
    }

    /// What serves the paths of routes.
    pub(crate) fn http(&self) -> axum::Router {
        self.0.platform_http.router()
    }
}

impl Following {
    /// Stops following, lets what is under way end, and stops all routes.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.expiring.abort();
        if self.task.await.is_err() {
            tracing::error!("following the folder with routes panicked");
        }
        let late = self.routes.0.deployment.engine().stop().await;
        self.observing.abort();
        if !late.is_empty() {
            tracing::warn!(routes = ?late, "exchanges of routes did not end in time; their causes come again");
        }
    }
}
