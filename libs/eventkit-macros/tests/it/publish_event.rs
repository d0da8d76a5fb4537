//! `#[publish_event]`: when it publishes, what, and that the function stays what it was.

use std::cell::Cell;
use std::fmt::Display;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use eventkit_macros::{Event, publish_event};

use crate::publish::{self, UnitOfWork};

const USER_EVENTS: &str = "user-events";

#[derive(Debug, Event)]
#[event(type = "user.created", topic = USER_EVENTS, key = "user-{employee_id}")]
#[allow(dead_code, reason = "read through Debug")]
struct UserCreated {
    employee_id: i64,
}

#[derive(Debug, PartialEq)]
struct User {
    employee_id: i64,
    name: String,
}

impl From<&User> for UserCreated {
    fn from(user: &User) -> Self {
        Self { employee_id: user.employee_id }
    }
}

#[derive(Debug, PartialEq)]
enum Failure {
    Publish,
    Number,
    Refused(String),
}

impl From<publish::Error> for Failure {
    fn from(_: publish::Error) -> Self {
        Self::Publish
    }
}

impl From<std::num::ParseIntError> for Failure {
    fn from(_: std::num::ParseIntError) -> Self {
        Self::Number
    }
}

type StoreResult<T> = Result<T, Failure>;

/// Runs a future that never waits for anything outside itself.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Gives the executor one turn, so that state really lives across an await.
async fn turn() {
    let mut is_second = false;
    std::future::poll_fn(move |_| {
        let ready = if is_second { Poll::Ready(()) } else { Poll::Pending };
        is_second = true;
        ready
    })
    .await;
}

async fn insert(work: &mut UnitOfWork, row: impl Into<String>) {
    turn().await;
    work.rows.push(row.into());
}

fn take<T>(value: T) -> T {
    value
}

struct Users {
    prefix: String,
}

impl Users {
    /// Creates a user from the text of its number.
    #[publish_event(UserCreated)]
    async fn create(&self, work: &mut UnitOfWork, number: &str) -> Result<User, Failure> {
        let employee_id: i64 = number.parse()?;
        if employee_id < 0 {
            return Err(Failure::Refused(number.to_owned()));
        }
        insert(work, format!("{}{employee_id}", self.prefix)).await;
        Ok(User { employee_id, name: self.prefix.clone() })
    }

    #[publish_event(
        topic = "other-events",
        event_type = UserCreated,
        key_extractor = |user| {
            if user.name.is_empty() {
                return "nobody".to_owned();
            }
            format!("{}-{}", user.name, user.employee_id)
        },
        data_extractor = |user| UserCreated { employee_id: user.employee_id + 1 },
    )]
    async fn create_elsewhere(&mut self, work: &mut UnitOfWork, user: User) -> StoreResult<User> {
        self.prefix.push('!');
        insert(work, self.prefix.as_str()).await;
        Ok(user)
    }
}

fn users() -> Users {
    Users { prefix: "u".to_owned() }
}

#[test]
fn success_publishes_in_the_same_unit_of_work() {
    let mut work = UnitOfWork::default();
    let user = run(users().create(&mut work, "42")).unwrap();
    assert_eq!(user.employee_id, 42);
    assert_eq!(work.rows, ["u42"]);
    let data = "UserCreated { employee_id: 42 }".to_owned();
    assert_eq!(work.published, [("user-events", "user.created", "user-42".to_owned(), data)]);
}

#[test]
fn an_early_return_and_a_question_mark_publish_nothing() {
    let mut work = UnitOfWork::default();
    let refused = run(users().create(&mut work, "-1"));
    assert_eq!(refused, Err(Failure::Refused("-1".to_owned())));
    assert_eq!(run(users().create(&mut work, "x")), Err(Failure::Number));
    assert!(work.published.is_empty());
}

#[test]
fn a_failure_to_publish_is_the_functions_failure() {
    let mut work = UnitOfWork { is_broken: true, ..UnitOfWork::default() };
    assert_eq!(run(users().create(&mut work, "1")), Err(Failure::Publish));
}

#[test]
fn the_long_form_decides_topic_key_and_data() {
    let mut work = UnitOfWork::default();
    let mut users = users();
    for name in ["an", ""] {
        let user = User { employee_id: 7, name: name.to_owned() };
        run(users.create_elsewhere(&mut work, user)).unwrap();
    }
    let data = "UserCreated { employee_id: 8 }".to_owned();
    let event = |key: &str| ("other-events", "user.created", key.to_owned(), data.clone());
    assert_eq!(work.published, [event("an-7"), event("nobody")]);
    assert_eq!(work.rows, ["u!", "u!!"]);
}

type Work = UnitOfWork;

fn key_of(user: &User) -> String {
    user.name.clone()
}

/// Paths as extractors, another name for the unit of work, patterns, lifetimes, generics,
/// `impl Trait`, names that the generated code uses too, and a body that gives its arguments away.
#[publish_event(event_type = UserCreated, work = tx, key_extractor = key_of, data_extractor = UserCreated::from)]
async fn awkward<'a, N>(
    mut tx: &'a mut Work,
    (result, value): (N, i64),
    data: impl Into<String> + Send,
    mut key: Cell<i64>,
    typed: &'a str,
) -> Result<User, Failure>
where
    N: Display + Send,
{
    #![allow(clippy::needless_return, reason = "an attribute of the body stays one")]
    turn().await;
    *key.get_mut() += value;
    key.set(key.get() + 1);
    turn().await;
    tx = take(tx);
    insert(tx, data).await;
    insert(take(tx), typed).await;
    return Ok(User { employee_id: key.get(), name: result.to_string() });
}

#[test]
fn an_awkward_signature_keeps_working() {
    fn assert_send<F: Future + Send>(future: F) -> F {
        future
    }
    let mut work = UnitOfWork::default();
    let future = assert_send(awkward(&mut work, ("n", 2), "row", Cell::new(3), "typed"));
    let user = run(future).unwrap();
    assert_eq!(user.employee_id, 6);
    assert_eq!(work.rows, ["row", "typed"]);
    let (topic, _, key, data) = work.published.pop().unwrap();
    assert_eq!((topic, key.as_str()), ("user-events", "n"));
    assert_eq!(data, "UserCreated { employee_id: 6 }");
}

trait Creates {
    async fn create(&self, work: &mut UnitOfWork) -> Result<User, Box<dyn std::error::Error>>;

    #[publish_event(UserCreated)]
    async fn create_default(&self, work: &mut UnitOfWork) -> Result<User, Failure> {
        Ok(User { employee_id: 1, name: String::new() })
    }
}

impl std::fmt::Display for publish::Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("publishing failed")
    }
}

impl std::error::Error for publish::Error {}

impl Creates for Users {
    #[publish_event(UserCreated)]
    async fn create(&self, work: &mut UnitOfWork) -> Result<User, Box<dyn std::error::Error>> {
        insert(work, "row").await;
        if self.prefix.is_empty() {
            // Only a known return type turns this box into one of a trait object.
            return Err(Box::new(publish::Error));
        }
        Ok(User { employee_id: 5, name: String::new() })
    }
}

#[test]
fn methods_of_traits_publish_also_by_default() {
    let mut work = UnitOfWork::default();
    run(Creates::create(&users(), &mut work)).unwrap();
    run(users().create_default(&mut work)).unwrap();
    let keys: Vec<&str> = work.published.iter().map(|event| event.2.as_str()).collect();
    assert_eq!(keys, ["user-5", "user-1"]);

    let nobody = Users { prefix: String::new() };
    let error = run(Creates::create(&nobody, &mut work)).unwrap_err();
    assert_eq!(error.to_string(), "publishing failed");
    assert_eq!(work.published.len(), 2);
}

#[publish_event(event_type = UserCreated, key_extractor = |_| "k".to_owned(), data_extractor = |list| UserCreated { employee_id: list.clone().sum() })]
async fn opaque(work: &mut UnitOfWork, up_to: i64) -> Result<impl Iterator<Item = i64> + Clone, Failure> {
    insert(work, "row").await;
    Ok(0..=up_to)
}

#[test]
fn an_opaque_value_is_described_too() {
    let mut work = UnitOfWork::default();
    assert_eq!(run(opaque(&mut work, 3)).unwrap().count(), 4);
    assert_eq!(work.published[0].3, "UserCreated { employee_id: 6 }");
}

macro_rules! creating {
    ($name:ident, $work:ident, $result:ty) => {
        #[publish_event(UserCreated)]
        async fn $name($work: &mut UnitOfWork) -> $result {
            insert($work, "row").await;
            Ok(User { employee_id: 9, name: String::new() })
        }
    };
}

creating!(created_by_macro, result, Result<User, Failure>);

#[test]
fn functions_written_by_macros_publish() {
    let mut work = UnitOfWork::default();
    run(created_by_macro(&mut work)).unwrap();
    assert_eq!(work.published.len(), 1);
}
