//! Routes take the place of others while exchanges are under way.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use routes::components::{Component, ComponentSpec, Consumer, Endpoint, Side};
use routes::exchange::{Message, Text, Value};
use routes::run::{BoxFuture, Core, Inlet, Route};
use routes::{Engine, Limits, Setup};

use crate::support::{bodies, eventually, send, started};

fn compiled(engine: &Engine, route: &str) -> Vec<Arc<Route>> {
    engine.load(&[("test.yaml".to_owned(), route.to_owned())]).unwrap().routes
}

fn route(id: &str, from: &str, steps: &str) -> String {
    format!("- route: {{ id: {id}, from: {{ uri: \"{from}\", steps: [ {steps} ] }} }}\n")
}

#[tokio::test]
async fn calls_never_find_nobody_while_a_route_is_replaced() {
    let version = |n: usize| route("called", "direct:called", &format!("{{ setBody: {{ constant: \"{n}\" }} }}"));
    let engine = Arc::new(started(&version(0), Limits::default()).await);
    let (is_over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (engine, is_over, calls) = (Arc::clone(&engine), Arc::clone(&is_over), Arc::clone(&calls));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let back = send(&engine, "direct:called", "m").await;
                    assert!(!back.is_failed(), "{:?}", back.exception());
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 1..=100 {
        let before = calls.load(Ordering::Relaxed);
        assert!(engine.swap(compiled(&engine, &version(n)), &[Text::fixed("called")]).await.unwrap().is_empty());
        eventually("somebody calls the new one", || calls.load(Ordering::Relaxed) > before).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let back = send(&engine, "direct:called", "m").await;
    assert_eq!(back.message.body.value().to_text().unwrap(), "100");
    assert_eq!(engine.routes().len(), 1);
}

#[tokio::test]
async fn what_is_under_way_ends_on_the_old_route() {
    let old = route("r", "direct:r", "{ to: \"mock:begun\" }, { delay: { constant: \"100\" } }, { to: \"mock:old\" }");
    let engine = Arc::new(started(&old, Limits::default()).await);
    let under_way = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.send("direct:r", engine.core().exchange(Message::new(Value::from("m")))).await }
    });
    eventually("it is under way", || bodies(&engine, "begun").len() == 1).await;
    let new = route("r", "direct:r", "{ to: \"mock:new\" }");
    assert!(engine.swap(compiled(&engine, &new), &[Text::fixed("r")]).await.unwrap().is_empty());
    // The swap has waited for it.
    assert_eq!(bodies(&engine, "old").len(), 1);
    assert!(!under_way.await.unwrap().is_failed());
    send(&engine, "direct:r", "n").await;
    assert_eq!(bodies(&engine, "new"), ["n"]);
}

#[tokio::test]
async fn a_route_that_cannot_start_leaves_the_old_ones_running() {
    let engine = started(
        &[route("a", "direct:a", "{ to: \"mock:a\" }"), route("b", "direct:b", "{ to: \"mock:b\" }")].concat(),
        Limits::default(),
    )
    .await;
    // `direct:b` belongs to a route that stays.
    let new = route("a", "direct:b", "{ to: \"mock:new\" }");
    let refused = engine.swap(compiled(&engine, &new), &[Text::fixed("a")]).await.unwrap_err();
    assert_eq!(refused.route, "a");
    assert!(refused.reason.contains("belongs to route `b`"), "{refused}");
    send(&engine, "direct:a", "1").await;
    send(&engine, "direct:b", "2").await;
    assert_eq!((bodies(&engine, "a"), bodies(&engine, "b")), (vec!["1".to_owned()], vec!["2".to_owned()]));
    // A source that cannot be opened takes nothing away either.
    let file = tempfile::NamedTempFile::new().unwrap();
    let new = [
        route("a", "direct:a", "{ to: \"mock:new\" }"),
        route("c", &format!("file:{}/x?autoCreate=true", file.path().display()), "{ to: \"mock:c\" }"),
    ]
    .concat();
    let refused = engine.swap(compiled(&engine, &new), &[Text::fixed("a")]).await.unwrap_err();
    assert_eq!(refused.route, "c", "{refused}");
    send(&engine, "direct:a", "3").await;
    assert_eq!(bodies(&engine, "a"), ["1", "3"]);
    // Of two new ones that want one name, the first is not the one in the way.
    let new = [route("d", "direct:d", "{ to: \"mock:d\" }"), route("e", "direct:d", "{ to: \"mock:e\" }")].concat();
    let refused = engine.swap(compiled(&engine, &new), &[]).await.unwrap_err();
    assert_eq!(refused.route, "e", "{refused}");
}

#[tokio::test]
async fn a_suspended_route_goes_on_when_it_is_resumed() {
    let engine = started(&route("r", "seda:r", "{ to: \"mock:r\" }"), Limits::default()).await;
    engine.suspend_route("r").await.unwrap();
    assert_eq!(engine.routes()[0].state().as_str(), "suspended");
    send(&engine, "seda:r", "waits").await;
    assert!(bodies(&engine, "r").is_empty());
    assert!(engine.suspend_route("r").await.is_err());
    engine.resume_route("r").await.unwrap();
    eventually("what waited is taken", || bodies(&engine, "r") == ["waits"]).await;
    assert!(engine.resume_route("r").await.is_err());
}

#[tokio::test]
async fn a_replaced_route_takes_nothing_more_out_of_a_full_queue() {
    const WAITING: usize = 100;
    let version =
        |mark: &str| route("r", "seda:r", &format!("{{ delay: {{ constant: \"2\" }} }}, {{ to: \"mock:{mark}\" }}"));
    let engine = started(&version("old"), Limits::default()).await;
    for _ in 0..WAITING {
        assert!(!send(&engine, "seda:r", "m").await.is_failed());
    }
    eventually("the old one takes some", || !bodies(&engine, "old").is_empty()).await;
    let before = bodies(&engine, "old").len();
    assert!(engine.swap(compiled(&engine, &version("new")), &[Text::fixed("r")]).await.unwrap().is_empty());
    eventually("all is taken", || bodies(&engine, "old").len() + bodies(&engine, "new").len() == WAITING).await;
    // What was under way, and what may have been taken before the swap began.
    assert!(bodies(&engine, "old").len() <= before + 2, "{} after {before}", bodies(&engine, "old").len());
}

#[tokio::test]
async fn a_replaced_route_ends_although_its_queue_stays_empty() {
    let old = route("r", "seda:r", "{ to: \"mock:begun\" }, { delay: { constant: \"100\" } }, { to: \"mock:old\" }");
    let engine = started(&old, Limits { stop_ms: 2_000, ..Limits::default() }).await;
    assert!(!send(&engine, "seda:r", "m").await.is_failed());
    eventually("it is under way", || bodies(&engine, "begun").len() == 1).await;
    let new = route("r", "seda:r", "{ to: \"mock:new\" }");
    let late = engine.swap(compiled(&engine, &new), &[Text::fixed("r")]).await.unwrap();
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(bodies(&engine, "old"), ["m"]);
}

#[tokio::test]
async fn what_waits_in_a_queue_is_taken_before_its_last_route_stops() {
    let engine =
        started(&route("r", "seda:r", "{ delay: { constant: \"2\" } }, { to: \"mock:r\" }"), Limits::default()).await;
    for _ in 0..10 {
        assert!(!send(&engine, "seda:r", "m").await.is_failed());
    }
    engine.stop_route("r").await.unwrap();
    assert_eq!(bodies(&engine, "r").len(), 10);
}

#[tokio::test]
async fn a_queue_gets_the_size_that_its_files_say_now() {
    let version = |size: usize| route("r", &format!("seda:r?size={size}"), "{ to: \"mock:r\" }");
    let engine = started(&version(2), Limits::default()).await;
    let three_fit = async || {
        engine.suspend_route("r").await.unwrap();
        for _ in 0..2 {
            assert!(!send(&engine, "seda:r", "m").await.is_failed());
        }
        let fits = !send(&engine, "seda:r", "m").await.is_failed();
        engine.resume_route("r").await.unwrap();
        eventually("what waited is taken", || bodies(&engine, "r").len() % 5 == if fits { 0 } else { 2 }).await;
        fits
    };
    assert!(!three_fit().await);
    engine.swap(compiled(&engine, &version(3)), &[Text::fixed("r")]).await.unwrap();
    assert!(three_fit().await);
    // Two sizes in files that are read together are a mistake still.
    let two = format!("{}- from: {{ uri: \"direct:x\", steps: [ {{ to: \"seda:r?size=5\" }} ] }}\n", version(4));
    let problems = engine.load(&[("test.yaml".to_owned(), two)]).unwrap_err();
    assert!(problems[0].message.contains("has the size 4 already"), "{problems:?}");
}

/// Notes on which thread its addresses are looked at.
#[derive(Debug, Default)]
struct Where(Mutex<Option<ThreadId>>);

#[derive(Debug)]
struct Nothing;

impl Component for Where {
    fn spec(&self) -> &'static ComponentSpec {
        static SPEC: ComponentSpec =
            ComponentSpec { name: "where", about: "Brings nothing", path: "name", side: Side::From, options: &[] };
        &SPEC
    }

    fn consumer(&self, _: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        *self.0.lock().unwrap() = Some(std::thread::current().id());
        Ok(Box::new(Nothing))
    }
}

impl Consumer for Nothing {
    fn start(&self, _: Inlet) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn files_are_compiled_beside_what_runs() {
    let looked = Arc::new(Where::default());
    let engine = Engine::new(Setup { components: vec![looked.clone()], ..Setup::default() });
    let files = vec![("test.yaml".to_owned(), route("r", "where:x", "{ log: x }"))];
    let compiled = engine.load_beside(files, HashSet::new()).await.unwrap();
    assert_eq!(compiled.routes.len(), 1);
    let thread = looked.0.lock().unwrap().unwrap();
    // The runtime of this test has one thread, and that has not been kept from others.
    assert_ne!(thread, std::thread::current().id());
}

#[test]
fn a_file_that_gives_way_is_wrong_where_two_want_one_id() {
    let engine = Engine::new(Setup::default());
    let file = |name: &str| (name.to_owned(), route("r", &format!("direct:{name}"), "{ log: x }"));
    let wrong = |gives_way: &[&str]| {
        let gives_way = gives_way.iter().map(|name| (*name).to_owned()).collect();
        let compiled = routes::compile::compile_with(engine.core(), &[file("a"), file("b")], &gives_way);
        compiled.unwrap_err().iter().map(|problem| problem.file.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&[]), ["b"]);
    assert_eq!(wrong(&["b"]), ["b"]);
    assert_eq!(wrong(&["a"]), ["a"]);
    assert_eq!(wrong(&["a", "b"]), ["b"]);
}
