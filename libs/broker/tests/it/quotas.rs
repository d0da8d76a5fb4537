//! Row "quotas": kept and shown, and what cannot be is refused. The limits that are enforced are in `limits`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use crate::support::Running;
use crate::support::wire::{Wire, text};

type Named<'a> = &'a [(&'a str, Option<&'a str>)];

/// Sets values, or removes them; answers the code.
async fn alter(wire: &mut Wire, entity: Named<'_>, ops: &[(&str, Option<f64>)], validate_only: bool) -> i16 {
    let entity = entity
        .iter()
        .map(|(kind, name)| EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text)));
    let ops = ops.iter().map(|(key, value)| {
        OpData::default().with_key(text(key)).with_value(value.unwrap_or(0.0)).with_remove(value.is_none())
    });
    let entry = EntryData::default().with_entity(entity.collect()).with_ops(ops.collect());
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]).with_validate_only(validate_only);
    wire.call(1, &request).await.entries[0].error_code
}

/// What is kept for the entities that match, a line each.
async fn describe(wire: &mut Wire, components: &[(&str, i8, Option<&str>)], strict: bool) -> Vec<String> {
    let component = |(kind, match_type, name): &(&str, i8, Option<&str>)| {
        ComponentData::default().with_entity_type(text(kind)).with_match_type(*match_type).with_match(name.map(text))
    };
    let components = components.iter().map(component).collect();
    let request = DescribeClientQuotasRequest::default().with_components(components).with_strict(strict);
    let answer = wire.call(1, &request).await;
    assert_eq!(answer.error_code, 0);
    let line = |entry: &kafka_protocol::messages::describe_client_quotas_response::EntryData| {
        let entity = entry.entity.iter().map(|part| {
            format!("{}={}", part.entity_type.as_str(), part.entity_name.as_deref().unwrap_or("<default>"))
        });
        let values = entry.values.iter().map(|value| format!("{}={}", value.key.as_str(), value.value));
        entity.chain(values).collect::<Vec<_>>().join(" ")
    };
    answer.entries.unwrap().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_kept_and_shown_also_after_a_restart() {
    let broker = Running::start().await;
    let mut wire = broker.wire().await;
    let rate = [("producer_byte_rate", Some(1024.0))];
    assert_eq!(alter(&mut wire, &[("user", Some("an"))], &rate, false).await, 0);
    assert_eq!(alter(&mut wire, &[("user", None)], &[("request_percentage", Some(12.5))], false).await, 0);
    assert_eq!(alter(&mut wire, &[("user", Some("an")), ("client-id", Some("app"))], &rate, false).await, 0);
    assert_eq!(
        alter(&mut wire, &[("ip", Some("10.0.0.1"))], &[("connection_creation_rate", Some(3.0))], false).await,
        0
    );
    assert_eq!(alter(&mut wire, &[("client-id", Some("tried"))], &rate, true).await, 0, "only checked");
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    let (of_an, of_default) = ("user=an producer_byte_rate=1024", "user=<default> request_percentage=12.5");
    let of_app = "client-id=app user=an producer_byte_rate=1024";
    let of_ip = "ip=10.0.0.1 connection_creation_rate=3";
    assert_eq!(describe(&mut wire, &[], false).await, [of_app, of_ip, of_default, of_an]);
    assert_eq!(describe(&mut wire, &[("user", 0, Some("an"))], false).await, [of_app, of_an]);
    assert_eq!(describe(&mut wire, &[("user", 0, Some("an"))], true).await, [of_an], "nothing besides");
    assert_eq!(describe(&mut wire, &[("user", 1, None)], false).await, [of_default]);
    assert_eq!(describe(&mut wire, &[("user", 2, None)], true).await, [of_default, of_an]);
    assert_eq!(describe(&mut wire, &[("user", 2, None), ("client-id", 2, None)], true).await, [of_app]);
    assert_eq!(alter(&mut wire, &[("user", Some("an"))], &[("producer_byte_rate", None)], false).await, 0);
    assert_eq!(describe(&mut wire, &[("user", 2, None)], true).await, [of_default], "removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_that_cannot_be_are_refused_and_change_nothing() {
    let broker = Running::start().await;
    let mut wire = broker.wire().await;
    let refused = ResponseError::InvalidRequest.code();
    let rate = ("producer_byte_rate", Some(1.0));
    let entities: [Named<'_>; 5] = [
        &[],
        &[("planet", Some("earth"))],
        &[("user", Some(""))],
        &[("user", Some("a")), ("user", Some("b"))],
        &[("ip", Some("10.0.0.1")), ("user", Some("a"))],
    ];
    for entity in entities {
        assert_eq!(alter(&mut wire, entity, &[rate], false).await, refused, "{entity:?}");
    }
    for op in [("speed", Some(1.0)), ("producer_byte_rate", Some(0.0)), ("producer_byte_rate", Some(f64::NAN))] {
        assert_eq!(alter(&mut wire, &[("user", Some("a"))], &[op], false).await, refused, "{op:?}");
    }
    assert_eq!(alter(&mut wire, &[("user", Some("a"))], &[rate, rate], false).await, refused, "twice");
    assert_eq!(alter(&mut wire, &[("ip", None)], &[rate], false).await, refused, "no quota of addresses");
    assert_eq!(describe(&mut wire, &[], false).await, [] as [&str; 0]);
    for (kind, match_type) in [("planet", 2), ("user", 0), ("user", 9)] {
        let component = ComponentData::default().with_entity_type(text(kind)).with_match_type(match_type);
        let request = DescribeClientQuotasRequest::default().with_components(vec![component.with_match(None)]);
        assert_ne!(wire.call(1, &request).await.error_code, 0, "{kind} {match_type}");
    }
}
