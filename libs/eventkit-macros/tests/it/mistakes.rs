//! What an author reads when the arguments or the function are wrong: `tests/ui/*.stderr`.
//!
//! Each case holds several mistakes, and uses the item it stands on: all of them are reported, and
//! nothing else.

#[test]
fn mistakes_are_reported_together_each_in_its_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
