use larder::cached;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

#[derive(serde::Serialize, serde::Deserialize)]
struct NotClone(u64);

#[derive(Clone)]
struct NotSerde(u64);

#[cached]
fn optional(id: u64) -> Option<NotClone> { Some(NotClone(id)) }

#[cached]
fn fallible(id: u64) -> Result<Vec<NotSerde>, String> { Ok(vec![NotSerde(id)]) }

#[cached(local)]
fn queued(id: u64) -> Option<VecDeque<Box<NotClone>>> { Some(VecDeque::from([Box::new(NotClone(id))])) }

#[cached(local)]
fn shared(id: u64) -> Option<Arc<Rc<u64>>> { Some(Arc::new(Rc::new(id))) }

#[cached(local)]
fn boxed(id: u64) -> Box<dyn Fn() -> u64 + Send + Sync> { Box::new(move || id) }

fn main() {}
