//! JSON, whichever of Java's libraries the file names.

use std::sync::Arc;

use bytes::Bytes;

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Body, Message, Result, Text, Value, write_json, write_json_pretty};

use super::{DataFormat, FormatKind};

const JAVA: &str = "values have no Java types";

pub(super) static FORMAT: FormatKind = FormatKind {
    spec: Spec {
        name: "json",
        about: "JSON",
        options: &[
            OptionSpec::new("prettyPrint", Takes::Bool, "whether it is written over several lines (false)"),
            OptionSpec::new("contentTypeHeader", Takes::Bool, "whether `marshal` sets `Content-Type` (true)"),
            OptionSpec::unused(
                "library",
                &Takes::OneOf(&["Fastjson", "Gson", "Jackson", "Jsonb"]),
                "there is one JSON here",
            ),
            OptionSpec::meaningless("unmarshalType", JAVA),
            OptionSpec::meaningless("collectionType", JAVA),
            OptionSpec::unused("useList", &Takes::Bool, "a list is read as a list"),
            OptionSpec::meaningless("objectMapper", JAVA),
            OptionSpec::unused("useDefaultObjectMapper", &Takes::Bool, JAVA),
            OptionSpec::unused("autoDiscoverObjectMapper", &Takes::Bool, JAVA),
            OptionSpec::unused("autoDiscoverSchemaResolver", &Takes::Bool, JAVA),
            OptionSpec::unused("allowJmsType", &Takes::Bool, "there is no JMS here"),
            OptionSpec::refused("allowUnmarshallType", JAVA),
            OptionSpec::refused("combineUnicodeSurrogates", JAVA),
            OptionSpec::refused("dateFormatPattern", JAVA),
            OptionSpec::refused("disableFeatures", JAVA),
            OptionSpec::refused("enableFeatures", JAVA),
            OptionSpec::refused("include", "remove nulls with `jq` before"),
            OptionSpec::refused("jsonView", JAVA),
            OptionSpec::refused("maxStringLength", "bodies have a limit of their own"),
            OptionSpec::refused("moduleClassNames", JAVA),
            OptionSpec::refused("moduleRefs", JAVA),
            OptionSpec::refused("namingStrategy", JAVA),
            OptionSpec::refused("schemaResolver", JAVA),
            OptionSpec::refused("timezone", JAVA),
        ],
        ..Spec::EMPTY
    },
    build: |element| {
        Ok(Arc::new(Json {
            is_pretty: element.is_on("prettyPrint"),
            sets_type: element.flag("contentTypeHeader").unwrap_or(true),
        }))
    },
};

#[derive(Debug)]
struct Json {
    is_pretty: bool,
    sets_type: bool,
}

impl DataFormat for Json {
    fn marshal(&self, message: &mut Message) -> Result<()> {
        let value = message.body.value();
        let text = if self.is_pretty { write_json_pretty(value) } else { write_json(value) };
        message.body = Body::new(Value::Bytes(Bytes::from(text)));
        if self.sets_type {
            message.headers.set(Text::fixed("Content-Type"), Value::fixed("application/json"));
        }
        Ok(())
    }

    fn unmarshal(&self, message: &mut Message) -> Result<()> {
        let value = message.body.json()?.clone();
        message.body = Body::new(value);
        Ok(())
    }
}
