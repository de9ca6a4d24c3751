//! The README and the guides, for the compiler: rustdoc runs every Rust block in them as a test.
//!
//! `web-services.md` isn't here. It shows the program in `examples/web`, whose own tests compile it, start it and compare it
//! with the guide.

macro_rules! pages {
    ($($page:ident: $path:literal),* $(,)?) => {$(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        pub mod $page {}
    )*};
}

pages! {
    readme: "../../README.md",
    errors: "../errors.md",
    guarantees: "../guarantees.md",
    how_it_works: "../how-it-works.md",
    moving_from_cached: "../moving-from-cached.md",
    moving_from_moka: "../moving-from-moka.md",
    moving_from_requence_cache: "../moving-from-requence-cache.md",
    multi_tenancy: "../multi-tenancy.md",
    observability: "../observability.md",
    performance: "../performance.md",
    production: "../production.md",
    protocol: "../protocol.md",
    public_api: "../public-api.md",
    troubleshooting: "../troubleshooting.md",
    types: "../types.md",
    compared: "../compared.md",
    writes: "../writes.md",
}
