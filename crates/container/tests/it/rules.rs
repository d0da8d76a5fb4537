//! Who is told what: the router's rules as a table of cases.

use contracts::audit::Incident;
use contracts::recruitment::ApplicationStatus;
use contracts::user::UserDeleted;
use eventkit::testing::eventually;
use eventkit::transport::Transport;
use eventkit::{Envelope, Keyed};
use serde_json::Value;

use crate::samples::{created, department, department_gone, incident, login, reviewed, submitted, updated};
use crate::support::{House, NOON_MS};

/// Whom a notification is for, its template and its subject.
type Told = (&'static str, &'static str, &'static str);

fn told(event: &eventkit::outbox::StoredEvent) -> (String, String, String) {
    let envelope = Envelope::read(event.envelope.as_bytes()).unwrap();
    let data: Value = serde_json::from_str(envelope.data.get()).unwrap();
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (event.key.clone(), text("template"), text("subject"))
}

/// Tells the event and compares who is told then; both routers have to be through with it.
async fn expect<E: Keyed>(house: &House, event: E, expected: &[Told]) {
    let before = house.published_after(0).await.last().map_or(0, |event| event.position);
    house.tell(&event).await;
    for group in ["container-router", "container-router-directory"] {
        house.through(group, E::TOPIC, &event.key()).await;
    }
    let mut found: Vec<_> = house.published_after(before).await.iter().map(told).collect();
    found.sort();
    let mut expected: Vec<_> =
        expected.iter().map(|(who, what, subject)| (who.to_string(), what.to_string(), subject.to_string())).collect();
    expected.sort();
    assert_eq!(found, expected, "{} {}", E::TYPE, event.key());
}

/// Employee 1 leads department 3, employee 2 is in it, employee 4 has left and leads department 5; nobody leads 6, and
/// department 7 is gone.
async fn people(house: &House) {
    for event in [department(3, Some(1)), department(5, Some(4)), department(6, None), department(7, Some(1))] {
        house.tell(&event).await;
    }
    house.tell(&department_gone(7)).await;
    for id in [1, 2, 4] {
        house.tell(&created(id, None)).await;
    }
    house.tell(&UserDeleted { employee_id: 4, department_id: None }).await;
    for (topic, key) in [
        ("company-events", "department-3"),
        ("company-events", "department-5"),
        ("company-events", "department-6"),
        ("company-events", "department-7"),
        ("user-events", "user-1"),
        ("user-events", "user-2"),
        ("user-events", "user-4"),
    ] {
        house.through("container-directory", topic, key).await;
    }
    for key in ["user-1", "user-2", "user-4"] {
        house.through("container-router", "user-events", key).await;
    }
}

async fn everybody_is_told_what_the_table_says(house: House) {
    people(&house).await;
    let welcome = |key| (key, "user-welcome", "Welcome to TechLeet");
    let member = |subject| ("notification-1", "department-new-member", subject);
    expect(&house, created(10, None), &[welcome("notification-10")]).await;
    let new = "New in Department3: First11 Last11";
    expect(&house, created(11, Some(3)), &[welcome("notification-11"), member(new)]).await;
    expect(&house, created(1, Some(3)), &[welcome("notification-1")]).await;
    for without_leader in [5, 6, 7] {
        expect(&house, created(12, Some(without_leader)), &[welcome("notification-12")]).await;
    }
    let moved = "New in Department3: First10 Last10";
    expect(&house, updated(10, Some(3), &["departmentId"]), &[member(moved)]).await;
    expect(&house, updated(10, None, &["departmentId"]), &[]).await;
    expect(&house, updated(10, Some(3), &["email"]), &[]).await;
    let device = ("notification-2", "login-new-device", "A login from a new device");
    expect(&house, login(2, true), &[device]).await;
    expect(&house, login(2, false), &[]).await;
    expect(&house, login(4, true), &[]).await;
    let received = ("notification-candidate-7", "application-received", "We have your application: Cook");
    let manager = ("notification-1", "application-for-manager", "A new application: Cook");
    expect(&house, submitted(7, 1), &[received, manager]).await;
    expect(&house, submitted(7, 4), &[received]).await;
    use ApplicationStatus::{Hired, Interviewing, Offer, Rejected, Screening, Submitted, Withdrawn};
    for (status, template, subject) in [
        (Screening, "application-screening", "Your application: Cook"),
        (Interviewing, "application-interviewing", "We would like to meet you: Cook"),
        (Offer, "application-offer", "An offer for you: Cook"),
        (Hired, "application-hired", "Welcome on board: Cook"),
        (Rejected, "application-rejected", "Your application: Cook"),
        (Withdrawn, "application-withdrawn", "Your application is withdrawn: Cook"),
    ] {
        expect(&house, reviewed(7, status), &[("notification-candidate-7", template, subject)]).await;
    }
    expect(&house, reviewed(7, Submitted), &[]).await;
}

#[tokio::test]
async fn everybody_is_told_what_the_table_says_on_sqlite() {
    everybody_is_told_what_the_table_says(House::open(&[]).await).await;
}

#[tokio::test]
async fn everybody_is_told_what_the_table_says_on_postgres() {
    let Some(house) = House::open_on_postgres(&[]).await else { return };
    everybody_is_told_what_the_table_says(house).await;
}

#[tokio::test]
async fn what_the_directory_does_not_know_yet_is_tried_again_and_holds_up_nobody_else() {
    let house = House::open(&[]).await;
    let id = house.tell(&submitted(7, 99)).await;
    // The candidate is told all the same, and the letter says who is missing.
    let letter = house.dead_letter(id).await;
    assert_eq!(letter.header("dlq-group"), Some("container-router-directory"));
    assert!(letter.header("dlq-error").unwrap().contains("employee 99 is not known yet"), "{letter:?}");
    assert_eq!(letter.header("dlq-error-kind"), Some("transient"));
    eventually("the candidate is told", async || (house.published_after(0).await.len() == 1).then_some(())).await;

    let id = house.tell(&created(11, Some(33))).await;
    let letter = house.dead_letter(id).await;
    assert!(letter.header("dlq-error").unwrap().contains("department 33 is not known yet"), "{letter:?}");
}

#[tokio::test]
async fn an_event_that_comes_twice_is_told_once() {
    let house = House::open(&[]).await;
    house.start_relay();
    house.tell(&created(42, None)).await;
    let records = house.transport.records("user-events");
    let again: Vec<_> = records.into_iter().map(|record| record.record).collect();
    for _ in 0..3 {
        house.transport.publish(again.clone()).await.unwrap();
    }
    house.through("container-router", "user-events", "user-42").await;
    let mails = || std::fs::read_dir(house.mailbox()).unwrap().count();
    eventually("a mail", async || (mails() > 0).then_some(())).await;
    house.through("container-mail", "notification-events", "notification-42").await;
    assert_eq!(mails(), 1);
    assert_eq!(house.transport.records("notification-events").len(), 1);
}

async fn administrators_are_told_once_a_window(house: House) {
    let minute = 60_000;
    let at = |incident, at_ms, suppressed| (incident, NOON_MS + at_ms, suppressed);
    let events = [
        at(Incident::Forbidden, 0, 0),
        at(Incident::LoginFailed, 0, 0),
        at(Incident::LoginFailed, minute, 0),
        // The third within ten minutes: told.
        at(Incident::LoginFailed, 2 * minute, 0),
        at(Incident::LoginFailed, 3 * minute, 0),
        at(Incident::LoginFailed, 11 * minute, 0),
        // Ten minutes later, and those from before have left the window but one.
        at(Incident::LoginFailed, 13 * minute, 0),
        at(Incident::LoginFailed, 14 * minute, 0),
        // Those that were only counted count too.
        at(Incident::Unauthenticated, 30 * minute, 5),
    ];
    for (kind, at_ms, suppressed) in events {
        let event = incident(kind, suppressed);
        house.tell_at(&event, at_ms).await;
        house.through("container-router", "audit-events", &event.key()).await;
    }
    let told: Vec<_> = house.published_after(0).await.iter().map(told).collect();
    let row = |kind: &str| {
        let subject = format!("Many security incidents: {kind}");
        ("notification-administrators".to_owned(), "security-incidents".to_owned(), subject)
    };
    let (login, stranger) = (row("login-failed"), row("unauthenticated"));
    // Two administrators each time.
    assert_eq!(told, [login.clone(), login.clone(), login.clone(), login, stranger.clone(), stranger]);
}

const ADMINISTRATORS: &[&str] = &[
    "container.administrators=a@example.com, b@example.com",
    "container.incidents_max=2",
    "container.incidents_window_ms=600000",
];

#[tokio::test]
async fn administrators_are_told_once_a_window_on_sqlite() {
    administrators_are_told_once_a_window(House::open(ADMINISTRATORS).await).await;
}

#[tokio::test]
async fn administrators_are_told_once_a_window_on_postgres() {
    let Some(house) = House::open_on_postgres(ADMINISTRATORS).await else { return };
    administrators_are_told_once_a_window(house).await;
}
