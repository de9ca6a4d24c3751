//! What bad use gets: each file in `cases` is one mistake, and what the compiler says of it stands beside it.

#![allow(missing_docs, reason = "a test")]

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("cases/*/*.rs");
}
