//! `#[derive(Event)]`: the constants, the key and the upcasters of real types.

use eventkit_macros::Event;
use serde_json::{Value, json};

use crate::Event as _;
use crate::event::Keyed;

const USER_EVENTS: &str = "user-events";

#[derive(Event)]
#[event(
    type = "user.created",
    version = 3,
    topic = USER_EVENTS,
    key = "user-{employee_id}",
    upcast(1 = add_last_name, 2 = upcasters::rename_email)
)]
struct UserCreated {
    employee_id: i64,
}

fn add_last_name(mut data: Value) -> Result<Value, String> {
    data["lastName"] = json!("");
    Ok(data)
}

mod upcasters {
    use serde_json::Value;

    pub(super) fn rename_email(data: Value) -> Result<Value, String> {
        match data.get("mail") {
            Some(_) => Ok(data),
            None => Err("no mail".to_owned()),
        }
    }
}

#[test]
fn the_constants_say_what_the_attribute_says() {
    assert_eq!(UserCreated::TYPE, "user.created");
    assert_eq!(UserCreated::VERSION, 3);
    assert_eq!(UserCreated::TOPIC, "user-events");
}

#[test]
fn upcasters_stand_in_the_order_of_versions_and_run() {
    let from: Vec<u32> = UserCreated::UPCASTERS.iter().map(|step| step.from).collect();
    assert_eq!(from, [1, 2]);
    let upcast = (UserCreated::UPCASTERS[0].apply)(json!({"firstName": "An"}));
    assert_eq!(upcast, Ok(json!({"firstName": "An", "lastName": ""})));
    let refused = (UserCreated::UPCASTERS[1].apply)(json!({}));
    assert_eq!(refused, Err("no mail".to_owned()));
}

#[test]
fn the_key_is_made_from_the_fields() {
    assert_eq!(UserCreated { employee_id: 42 }.key(), "user-42");
}

#[derive(Event)]
#[event(type = "job.moved", topic = concat!("recruitment", "-events"), key = "{{{1}}}/{0}")]
struct JobMoved(i64, &'static str);

#[derive(Event)]
#[event(type = "job.typed", topic = USER_EVENTS, key = "job-{type}")]
struct JobTyped {
    r#type: String,
}

#[derive(Event)]
#[event(type = "audit.system", topic = USER_EVENTS, key = "system{{1}}")]
struct Started;

#[test]
fn tuple_structs_raw_names_braces_and_fixed_keys_work() {
    assert_eq!(JobMoved(7, "x").key(), "{x}/7");
    let typed = JobTyped { r#type: "full-time".to_owned() };
    assert_eq!(typed.key(), "job-full-time");
    assert_eq!(Started.key(), "system{1}");
    assert_eq!(JobMoved::TOPIC, "recruitment-events");
    assert_eq!(Started::VERSION, 1);
    assert!(Started::UPCASTERS.is_empty());
}

#[derive(Event)]
#[event(type = "audit.data", version = 2, topic = USER_EVENTS)]
#[allow(dead_code, reason = "only its constants matter")]
enum Audit {
    Read,
    Written { id: i64 },
}

#[derive(Event)]
#[event(type = "thing.changed", topic = USER_EVENTS, key = "thing-{id}")]
struct Changed<T: std::fmt::Display, const N: usize>
where
    T: Clone,
{
    id: T,
    _rest: [u8; N],
}

#[test]
fn an_enum_without_key_is_an_event() {
    assert_eq!(Audit::TYPE, "audit.data");
    assert_eq!(Audit::VERSION, 2);
    assert!(Audit::UPCASTERS.is_empty());
}

#[test]
fn type_parameters_and_their_bounds_are_passed_on() {
    let changed = Changed { id: "a", _rest: [0; 2] };
    assert_eq!(changed.key(), "thing-a");
    assert_eq!(Changed::<u8, 1>::TYPE, "thing.changed");
}
