//! How long property tests search. `PROPTEST_CASES=100000 cargo test -p cache-redis hostile` searches longer. Cases that fail
//! are kept in `proptest-regressions`, to be committed, and are tried first from then on.

use proptest::prelude::ProptestConfig;

/// As many cases as take about a second, or more if the environment says so.
pub(crate) fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(1000), ..config }
}
