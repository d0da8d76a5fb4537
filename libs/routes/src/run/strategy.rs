//! How the results of parts become one: Camel's aggregation strategies by their class names.

use std::sync::Arc;

use crate::exchange::{Exchange, List, Text, Value};

/// An aggregation strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The last result counts.
    UseLatest,
    /// The message from before counts.
    UseOriginal,
    /// A list of bodies.
    GroupedBody,
    /// A list of exchanges.
    GroupedExchange,
    /// A list of messages.
    GroupedMessage,
    /// The bodies as one text.
    Joined(String),
}

/// Class names and what they are.
const NAMES: &[(&str, Strategy)] = &[
    ("org.apache.camel.processor.aggregate.UseLatestAggregationStrategy", Strategy::UseLatest),
    ("org.apache.camel.processor.aggregate.UseOriginalAggregationStrategy", Strategy::UseOriginal),
    ("org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy", Strategy::GroupedBody),
    ("org.apache.camel.processor.aggregate.GroupedExchangeAggregationStrategy", Strategy::GroupedExchange),
    ("org.apache.camel.processor.aggregate.GroupedMessageAggregationStrategy", Strategy::GroupedMessage),
    ("org.apache.camel.processor.aggregate.StringAggregationStrategy", Strategy::Joined(String::new())),
];

impl Strategy {
    /// The strategy of a class.
    pub fn from_class(name: &str) -> Option<Self> {
        NAMES.iter().find_map(|(known, strategy)| (*known == name).then(|| strategy.clone()))
    }

    /// All classes that are known.
    pub fn class_names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// Puts the next result to what there is.
    pub fn add(&self, old: Option<Exchange>, new: Exchange) -> Exchange {
        match self {
            Self::UseLatest => latest(old, new),
            Self::UseOriginal => old.unwrap_or(new),
            Self::GroupedBody => {
                let item = new.message.body.value().clone();
                collected(old, new, item)
            }
            Self::GroupedExchange => {
                let item = Value::Exchange(Arc::new(new.clone()));
                collected(old, new, item)
            }
            Self::GroupedMessage => {
                let mut part = new.copy().at_rest();
                part.properties = crate::exchange::Map::new();
                let item = Value::Exchange(Arc::new(part));
                collected(old, new, item)
            }
            Self::Joined(_) => {
                let item = new.message.body.value().clone();
                let old = old.map(|old| match old.properties.get(&GROUPED) {
                    Some(_) => old,
                    // What is there is the first of the texts.
                    None => {
                        let first = old.message.body.value().clone();
                        collected(None, old, first)
                    }
                });
                collected(old, new, item)
            }
        }
    }

    /// Makes the collected result the body.
    pub fn complete(&self, exchange: &mut Exchange) {
        if matches!(self, Self::UseLatest | Self::UseOriginal) {
            return;
        }
        let Some(list) = exchange.properties.remove(&GROUPED) else { return };
        match list.bounded().map(|list| self.whole(list)) {
            Ok(whole) => exchange.message.body = whole.into(),
            Err(exception) => exchange.fail(exception),
        }
    }

    /// What the collected items are together.
    fn whole(&self, items: Value) -> Value {
        let (Self::Joined(delimiter), Value::List(list)) = (self, &items) else { return items };
        if let [single] = &list[..] {
            return single.clone();
        }
        let texts: Vec<_> = list.iter().map(|item| item.to_text().unwrap_or_default()).collect();
        Value::from(texts.iter().map(Text::as_str).collect::<Vec<_>>().join(delimiter))
    }
}

const GROUPED: Text = Text::fixed("CamelGroupedExchange");

/// The new one; an older failure stays.
fn latest(old: Option<Exchange>, mut new: Exchange) -> Exchange {
    if let (Some(exception), false) = (old.and_then(|mut old| old.clear_exception()), new.is_failed()) {
        new.fail(exception);
    }
    new
}

/// The first exchange, with a list as property that grows.
fn collected(old: Option<Exchange>, new: Exchange, item: Value) -> Exchange {
    let mut exchange = old.unwrap_or(new);
    let list = exchange.properties.remove(&GROUPED);
    let mut items = match list {
        Some(Value::List(items)) => Arc::unwrap_or_clone(items),
        _ => List::new(Vec::new()),
    };
    items.push(item);
    exchange.properties.insert(GROUPED, Value::List(Arc::new(items)));
    exchange
}
