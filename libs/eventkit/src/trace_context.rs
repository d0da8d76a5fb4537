//! W3C trace contexts: the one that a cause carries, or one that begins here, so that every event has a trace.

use uuid::Uuid;

/// The header that carries the trace context of an event's cause.
pub const TRACEPARENT: &str = "traceparent";

/// The version that is written, and the lengths of its fields in hexadecimal digits.
const VERSION: &str = "00";
const FIELDS: [usize; 4] = [2, 32, 16, 2];
/// All of it, with three dashes.
const LENGTH: usize = 55;

/// A trace that begins here. It is recorded: the event store has every event of it.
#[must_use]
pub fn begin() -> String {
    // The lower half of a UUID is random and never zero.
    let (_, parent) = Uuid::now_v7().as_u64_pair();
    written(Uuid::now_v7(), parent)
}

/// The trace of what follows from a cause that names none: whoever handles it, and however often, it is the same.
#[must_use]
pub fn of_cause(correlation_id: &str) -> String {
    let trace = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("trace/{correlation_id}").as_bytes());
    let (_, parent) = Uuid::new_v5(&trace, b"parent").as_u64_pair();
    written(trace, parent)
}

/// A trace context as a header carries it, in the version that we write; `None` where it is none.
///
/// Source: <https://www.w3.org/TR/trace-context/#traceparent-header>; of a later version that begins alike, what this
/// version knows is kept.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let known = text.get(..LENGTH)?;
    let rest = &text[LENGTH..];
    let fields: Vec<&str> = known.split('-').collect();
    let is_hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let has_lengths = fields.iter().map(|field| field.len()).eq(FIELDS);
    if !has_lengths || !fields.iter().all(|field| is_hexadecimal(field)) || is_zero(fields[1]) || is_zero(fields[2]) {
        return None;
    }
    let is_whole = match fields[0] {
        VERSION => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    is_whole.then(|| format!("{VERSION}{}", &known[VERSION.len()..]))
}

fn written(trace: Uuid, parent: u64) -> String {
    format!("{VERSION}-{}-{parent:016x}-01", trace.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_given_is_kept_and_a_later_version_is_cut_to_ours() {
        assert_eq!(read(GIVEN).as_deref(), Some(GIVEN));
        let later = GIVEN.replacen("00", "cc", 1);
        assert_eq!(read(&later).as_deref(), Some(GIVEN));
        assert_eq!(read(&format!("{later}-what-comes-next")).as_deref(), Some(GIVEN));
    }

    #[test]
    fn what_is_no_trace_context_is_not_taken_for_one() {
        let zero_trace = GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let zero_parent = GIVEN.replace("b7ad6b7169203331", &"0".repeat(16));
        let wrong = [
            "",
            "kept",
            &GIVEN[..54],
            &format!("{GIVEN}-more"),
            &format!("{}more", GIVEN.replacen("00", "cc", 1)),
            &GIVEN.replacen("00", "ff", 1),
            &GIVEN.to_uppercase(),
            &GIVEN.replace('-', "_"),
            &GIVEN.replace("0af7651916", "-af7651916"),
            &zero_trace,
            &zero_parent,
            &"é".repeat(40),
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_trace_that_begins_here_is_new_and_that_of_a_cause_the_same_each_time() {
        let (first, second) = (begin(), begin());
        assert_eq!(read(&first).as_ref(), Some(&first));
        assert_ne!(first[3..35], second[3..35], "another trace");
        let of_request = of_cause("request-1");
        assert_eq!(read(&of_request).as_ref(), Some(&of_request));
        assert_eq!(of_cause("request-1"), of_request);
        assert_ne!(of_cause("request-2")[3..35], of_request[3..35]);
    }
}
