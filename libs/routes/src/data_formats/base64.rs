//! Base64.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Body, Exception, Message, Result, Value, class};

use super::{DataFormat, FormatKind};

pub(super) static FORMAT: FormatKind = FormatKind {
    spec: Spec {
        name: "base64",
        about: "Base64",
        options: &[
            OptionSpec::new("lineLength", Takes::Integer(0, 10_000), "after how many characters a line ends (76)"),
            OptionSpec::new("lineSeparator", Takes::Text, "what stands between lines (CR LF)"),
            OptionSpec::new("urlSafe", Takes::Bool, "whether the alphabet is that of addresses (false)"),
        ],
        ..Spec::EMPTY
    },
    build: |element| {
        Ok(Arc::new(Base64 {
            line_length: element.count("lineLength").unwrap_or(76),
            separator: element.text("lineSeparator").unwrap_or("\r\n").to_owned(),
            is_url_safe: element.is_on("urlSafe"),
        }))
    },
};

#[derive(Debug)]
struct Base64 {
    line_length: usize,
    separator: String,
    is_url_safe: bool,
}

impl DataFormat for Base64 {
    fn marshal(&self, message: &mut Message) -> Result<()> {
        let bytes = message.body.value().to_bytes();
        let text = if self.is_url_safe { URL_SAFE_NO_PAD.encode(&bytes) } else { STANDARD.encode(&bytes) };
        // Every line ends with the separator, the last one too.
        let lines: Vec<&str> = match self.line_length {
            0 => vec![text.as_str()],
            length => {
                let cut = |from| &text[from..text.len().min(from + length)];
                (0..text.len()).step_by(length).map(cut).collect()
            }
        };
        let mut out = String::with_capacity(text.len() + lines.len() * self.separator.len());
        for line in lines {
            out.push_str(line);
            if self.line_length > 0 {
                out.push_str(&self.separator);
            }
        }
        message.body = Body::new(Value::Bytes(Bytes::from(out)));
        Ok(())
    }

    fn unmarshal(&self, message: &mut Message) -> Result<()> {
        let bytes = message.body.value().to_bytes();
        let text: Vec<u8> = bytes
            .iter()
            .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=')
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        let decoded = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| Exception::new(&class::ILLEGAL_ARGUMENT, format!("body is not base64: {error}")))?;
        message.body = Body::new(Value::Bytes(Bytes::from(decoded)));
        Ok(())
    }
}
