//! Calls that wait for each other.

use crate::flight::per_key::{Flights, Latest, Role};
use crate::flight::single::FlightId;
use crate::flight::wait_graph::{Node, WaitGraph};
use crate::{ALL, RANDOM, check_dfs, check_random};
use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::thread;

/// Two runs that call each other: one of them must be told not to wait.
#[test]
fn a_circle_of_waits_is_never_closed() {
    let test = || {
        let graph = Arc::new(WaitGraph::default());
        let flights = Arc::new(Flights::<u8, u64, ()>::new());
        let threads: Vec<_> = [(1_u8, 2_u8), (2, 1)]
            .map(|(own, other)| {
                let (graph, flights) = (Arc::clone(&graph), Arc::clone(&flights));
                thread::spawn(move || {
                    let joins = |_: FlightId, (): &mut ()| Latest::Joined;
                    if let Role::Lead(leader) = flights.join_or_lead(&own, (), joins) {
                        if let Role::Join(flight) = flights.join_or_lead(&other, (), joins)
                            && let Some(_waits) = graph.wait_for(vec![leader.id()], flight.id())
                        {
                            block_on(flight.wait());
                        }
                        leader.land(1);
                    }
                })
            })
            .into();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(graph.len(), 0, "an edge was left behind");
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}

/// The same between caches that share a server's leases, of which a process knows a moment after they are granted.
#[test]
fn a_circle_of_leases_is_never_closed() {
    let test = || {
        let graph = Arc::new(WaitGraph::default());
        let server = Arc::new(Flights::<u8, u64, ()>::new());
        let threads: Vec<_> = [(1_u8, 2_u8), (2, 1)]
            .map(|(own, other)| {
                let (graph, server) = (Arc::clone(&graph), Arc::clone(&server));
                thread::spawn(move || {
                    let cache = Arc::new(Flights::<u8, u64, ()>::new());
                    let joins = |_: FlightId, (): &mut ()| Latest::Joined;
                    let lead = |key| match cache.join_or_lead(&key, (), joins) {
                        Role::Lead(leader) => leader,
                        Role::Join(_) | Role::Full(_) => panic!("nobody else uses this cache"),
                    };
                    let run = lead(own);
                    if let Role::Lead(lease) = server.join_or_lead(&own, (), joins) {
                        let _held = graph.hold(run.id(), Some(&[own]));
                        let nested = lead(other);
                        if let Role::Join(busy) = server.join_or_lead(&other, (), joins)
                            && let Some(_waits) = graph.wait_for(vec![nested.id(), run.id()], Node::Lease(vec![other]))
                        {
                            block_on(busy.wait());
                        }
                        lease.land(1);
                    }
                })
            })
            .into();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(graph.len(), 0, "an edge was left behind");
    };
    check_dfs(test, Some(ALL));
    check_random(test, RANDOM);
}
