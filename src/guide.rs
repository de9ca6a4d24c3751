//! Guides. They are pages of this documentation only: the module has no items and isn't compiled into your program.
//!
//! | page | about |
//! |---|---|
//! | [`web_services`] | a complete service with axum and sqlx |
//! | [`writes`] | invalidations that can't be forgotten |
//! | [`errors`] | who gets which error, and old values instead of errors |
//! | [`types`] | what survives the way through Redis, and changing types |
//! | [`multi_tenancy`] | scopes |
//! | [`production`] | Redis in production, deploys, monitoring |
//! | [`observability`] | statistics, events, metrics, traces |
//! | [`protocol`] | invalidating from other languages |
//! | [`troubleshooting`] | symptoms, causes and what to do; frequent questions |
//! | [`how_it_works`] | what happens at a hit, a miss and an invalidation |
//! | [`guarantees`] | the promises and their limits |
//! | [`performance`] | figures, and how to measure |
//! | [`compared`] | with `cached`, moka and hitbox |
//! | [`moving_from_cached`], [`moving_from_moka`], [`moving_from_requence_cache`] | code before and after |
//! | [`public_api`] | what is stable, and how versions are numbered |

#[doc = include_str!("../docs/compared.md")]
pub mod compared {}
#[doc = include_str!("../docs/errors.md")]
pub mod errors {}
#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}
#[doc = include_str!("../docs/how-it-works.md")]
pub mod how_it_works {}
#[doc = include_str!("../docs/moving-from-cached.md")]
pub mod moving_from_cached {}
#[doc = include_str!("../docs/moving-from-moka.md")]
pub mod moving_from_moka {}
#[doc = include_str!("../docs/moving-from-requence-cache.md")]
pub mod moving_from_requence_cache {}
#[doc = include_str!("../docs/multi-tenancy.md")]
pub mod multi_tenancy {}
#[doc = include_str!("../docs/observability.md")]
pub mod observability {}
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}
#[doc = include_str!("../docs/production.md")]
pub mod production {}
#[doc = include_str!("../docs/protocol.md")]
pub mod protocol {}
#[doc = include_str!("../docs/public-api.md")]
pub mod public_api {}
#[doc = include_str!("../docs/troubleshooting.md")]
pub mod troubleshooting {}
#[doc = include_str!("../docs/types.md")]
pub mod types {}
#[doc = include_str!("../docs/web-services.md")]
pub mod web_services {}
#[doc = include_str!("../docs/writes.md")]
pub mod writes {}
