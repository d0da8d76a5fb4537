//! `#[publish_event]` and `#[derive(Event)]` as a service author writes them.

use eventkit::{Event, Keyed, Origin, UnitOfWork, outbox, publish_event};
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

#[test]
fn upcasters_are_chained_from_whichever_version_was_sent() {
    let read = |version: u32, data: serde_json::Value| {
        let envelope = serde_json::json!({"eventType": "account.billed", "schemaVersion": version, "data": data});
        eventkit::event::decode::<AccountBilled>(&eventkit::Envelope::read(envelope.to_string().as_bytes()).unwrap())
    };
    let sent = [
        (1, serde_json::json!({"account": "a", "amount": 3})),
        (2, serde_json::json!({"account": "a", "cents": 300})),
        (3, serde_json::json!({"account": "a", "amount": "300 EUR-cents"})),
        (4, serde_json::json!({"account": "a", "price": {"text": "300 EUR-cents"}})),
    ];
    for (version, data) in sent {
        let billed = read(version, data).unwrap();
        assert_eq!(billed.price.text, "300 EUR-cents", "from version {version}");
    }
    let broken = read(2, serde_json::json!({"account": "a"})).unwrap_err();
    assert!(matches!(broken, eventkit::Error::Upcast { from: 2, .. }), "the step that fails is named: {broken:?}");
}
