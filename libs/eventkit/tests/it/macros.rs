//! `#[publish_event]` and `#[derive(Event)]` as a service author writes them.

use std::sync::{Arc, Mutex};

use eventkit::transport::Record;
use eventkit::{Event, Handle, HandlerResult, Keyed, Origin, Received, UnitOfWork, outbox, publish_event};
use serde::{Deserialize, Serialize};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture};

#[derive(Debug, thiserror::Error)]
enum BankError {
    #[error("refused")]
    Refused,
    #[error(transparent)]
    Events(#[from] eventkit::Error),
}

struct Account {
    account_id: i64,
    owner: String,
}

impl From<&Account> for AccountOpened {
    fn from(account: &Account) -> Self {
        Self { account_id: account.account_id, owner: account.owner.clone() }
    }
}

struct Bank;

impl Bank {
    #[publish_event(AccountOpened)]
    async fn open(&self, work: &mut UnitOfWork, owner: &str) -> Result<Account, BankError> {
        // A service's own call of its own method: the seed's interceptor never saw these.
        self.check(work, owner).await?;
        Ok(Account { account_id: 5, owner: owner.to_owned() })
    }

    #[publish_event(
        topic = ACCOUNTS,
        event_type = AccountOpened,
        key_extractor = |account| format!("vip-{}", account.account_id),
        data_extractor = |account| AccountOpened::from(account),
    )]
    async fn open_vip(&self, work: &mut UnitOfWork, owner: String) -> Result<Account, BankError> {
        if owner.is_empty() {
            return Err(BankError::Refused);
        }
        work.execute("insert into accounts (account_id, effects) values (6, 0)", &[]).await?;
        Ok(Account { account_id: 6, owner })
    }

    async fn check(&self, work: &mut UnitOfWork, owner: &str) -> Result<(), BankError> {
        work.query("select account_id from accounts", &[]).await?;
        if owner.is_empty() { Err(BankError::Refused) } else { Ok(()) }
    }
}

async fn keys(fixture: &Fixture) -> Vec<String> {
    let events = outbox::read_after(&fixture.db, 0, i64::MAX, 10).await.unwrap();
    events.into_iter().map(|event| event.key).collect()
}

#[tokio::test]
async fn a_method_that_succeeds_publishes_in_both_forms() {
    let fixture = Fixture::new().await;
    let mut work = fixture.publisher.begin(Origin::default());
    Bank.open(&mut work, "An").await.unwrap();
    Bank.open_vip(&mut work, "Binh".to_owned()).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(keys(&fixture).await, ["account-5", "vip-6"]);
}

#[tokio::test]
async fn a_method_that_fails_publishes_nothing() {
    let fixture = Fixture::new().await;
    let mut work = fixture.publisher.begin(Origin::default());
    assert!(matches!(Bank.open(&mut work, "").await, Err(BankError::Refused)));
    assert!(matches!(Bank.open_vip(&mut work, String::new()).await, Err(BankError::Refused)));
    work.commit().await.unwrap();
    assert!(keys(&fixture).await.is_empty());
}

fn cents(mut data: serde_json::Value) -> Result<serde_json::Value, String> {
    let amount = data["amount"].as_i64().ok_or("no amount")?;
    data["cents"] = (amount * 100).into();
    Ok(data)
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(type = "account.paid", version = 2, topic = ACCOUNTS, key = "{account}", upcast(1 = cents))]
struct AccountPaid {
    account: String,
    cents: i64,
}

#[test]
fn an_older_version_is_upcast_and_a_newer_one_refused() {
    let read = |json: &str| {
        let envelope = eventkit::Envelope::read(json.as_bytes()).unwrap();
        eventkit::event::decode::<AccountPaid>(&envelope)
    };
    let old = read(r#"{"eventType":"account.paid","data":{"account":"a","amount":3}}"#).unwrap();
    assert_eq!(old, AccountPaid { account: "a".to_owned(), cents: 300 });
    assert_eq!(old.key(), "a");
    let newer = read(r#"{"eventType":"account.paid","schemaVersion":3,"data":{}}"#).unwrap_err();
    assert!(matches!(newer, eventkit::Error::NewerSchema { found: 3, known: 2, .. }), "{newer:?}");
    let broken = read(r#"{"eventType":"account.paid","data":{}}"#).unwrap_err();
    assert!(matches!(broken, eventkit::Error::Upcast { from: 1, .. }), "{broken:?}");
}

fn with_currency(mut data: serde_json::Value) -> Result<serde_json::Value, String> {
    // What the step before made of it, not what was sent.
    let cents = data["cents"].as_i64().ok_or("no cents")?;
    data["amount"] = format!("{cents} EUR-cents").into();
    Ok(data)
}

fn nested(mut data: serde_json::Value) -> Result<serde_json::Value, String> {
    let amount = data["amount"].as_str().ok_or("no amount of text")?;
    data["price"] = serde_json::json!({"text": amount});
    Ok(data)
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(
    type = "account.billed",
    version = 4,
    topic = ACCOUNTS,
    key = "{account}",
    upcast(1 = cents, 2 = with_currency, 3 = nested)
)]
struct AccountBilled {
    account: String,
    price: Price,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    text: String,
}

/// One envelope of each version that was ever published, as it was stored: the folder only grows.
const BILLED: [&str; 4] = [
    include_str!("../samples/account.billed/v1.json"),
    include_str!("../samples/account.billed/v2.json"),
    include_str!("../samples/account.billed/v3.json"),
    include_str!("../samples/account.billed/v4.json"),
];

#[test]
fn upcasters_are_chained_from_whichever_version_was_sent() {
    for (stored, version) in BILLED.into_iter().zip(1..) {
        let envelope = eventkit::Envelope::read(stored.as_bytes()).unwrap();
        assert_eq!(envelope.schema_version, version);
        let billed: AccountBilled = eventkit::event::decode(&envelope).unwrap();
        let price = Price { text: "300 EUR-cents".to_owned() };
        assert_eq!(billed, AccountBilled { account: "a".to_owned(), price }, "from version {version}");
        let upcast = eventkit::event::upcast::<AccountBilled>(&envelope).unwrap();
        assert_eq!(upcast["price"], serde_json::json!({"text": "300 EUR-cents"}), "from version {version}");
    }
    let broken = r#"{"eventType":"account.billed","schemaVersion":2,"data":{"account":"a"}}"#;
    let broken = eventkit::Envelope::read(broken.as_bytes()).unwrap();
    let broken = eventkit::event::decode::<AccountBilled>(&broken).unwrap_err();
    assert!(matches!(broken, eventkit::Error::Upcast { from: 2, .. }), "the step that fails is named: {broken:?}");
}

#[tokio::test]
async fn a_consumer_handles_what_was_stored_in_any_version() {
    let mut harness = eventkit::testing::Harness::new(&[]).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    harness.start(eventkit::Consumer::new("group").on::<AccountBilled>(Seen(seen.clone())).dead_letters());
    for stored in BILLED {
        let value = Some(stored.into());
        let key = Some("a".into());
        let record = Record { topic: ACCOUNTS.to_owned(), key, value, headers: Vec::new(), timestamp_ms: Some(1) };
        harness.receive(record).await;
    }
    harness.run_until_idle().await;
    assert!(harness.dead_letters::<AccountBilled>().is_empty());
    assert_eq!(*seen.lock().unwrap(), ["300 EUR-cents"; 4]);
    harness.stop().await;
}

/// The prices that came.
struct Seen(Arc<Mutex<Vec<String>>>);

impl Handle<AccountBilled> for Seen {
    async fn handle(&self, received: &Received<AccountBilled>, _: &mut UnitOfWork) -> HandlerResult {
        self.0.lock().unwrap().push(received.event.price.text.clone());
        Ok(())
    }
}
