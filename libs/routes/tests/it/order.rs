//! Routes start in the order that `startupOrder` gives.

use std::sync::{Arc, Mutex};

use routes::components::{Component, ComponentSpec, Consumer, Endpoint, Side};
use routes::run::{BoxFuture, Core, Inlet};
use routes::{Engine, Setup};

static SPEC: ComponentSpec = ComponentSpec {
    name: "probe",
    about: "Notes which route starts; what begins with `called` is called by others",
    path: "name",
    side: Side::From,
    options: &[],
};

/// What has started, in order; clones are the same.
#[derive(Debug, Clone, Default)]
struct Probe(Arc<Mutex<Vec<String>>>);

impl Probe {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Component for Probe {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        Ok(Box::new(Source { name: endpoint.text.path, probe: self.clone() }))
    }
}

#[derive(Debug)]
struct Source {
    name: String,
    probe: Probe,
}

impl Consumer for Source {
    fn start(&self, _: Inlet) -> BoxFuture<'_, Result<(), String>> {
        self.probe.0.lock().unwrap().push(self.name.clone());
        Box::pin(async { Ok(()) })
    }

    fn is_called(&self) -> bool {
        self.name.starts_with("called")
    }
}

const ROUTES: &str = r#"
- route: { id: a, from: { uri: "probe:without", steps: [] } }
- route: { id: b, startupOrder: 30, from: { uri: "probe:third", steps: [] } }
- route: { id: c, startupOrder: 10, from: { uri: "probe:first", steps: [] } }
- route: { id: d, startupOrder: 1, autoStartup: false, from: { uri: "probe:never", steps: [] } }
- route: { id: e, startupOrder: 20, from: { uri: "probe:second", steps: [] } }
- route: { id: f, from: { uri: "probe:called-without", steps: [] } }
- route: { id: g, startupOrder: 90, from: { uri: "probe:called-first", steps: [] } }
"#;

/// Who is called is there before who calls; of each kind the smaller number begins, and no number comes last.
const ORDER: [&str; 6] = ["called-first", "called-without", "first", "second", "third", "without"];

#[tokio::test]
async fn routes_start_in_their_order_also_when_they_take_the_place_of_others() {
    let probe = Probe::default();
    let engine = Engine::new(Setup { components: vec![Arc::new(probe.clone())], ..Setup::default() });
    let load = || engine.load(&[("order.yaml".to_owned(), ROUTES.to_owned())]).unwrap();
    engine.start(load()).await.unwrap();
    assert_eq!(probe.take(), ORDER);
    let old: Vec<_> = engine.routes().iter().map(|route| route.id().clone()).collect();
    assert!(engine.swap(load().routes, &old).await.unwrap().is_empty());
    assert_eq!(probe.take(), ORDER);
    assert!(engine.stop().await.is_empty());
}
