//! Older and newer programs on one server: each process calls one of the functions that go by one name.

use larder_testbed::Server;

use crate::support::{NO_MEMORY, workers};

#[test]
fn functions_of_one_name_are_one_function() {
    let server = Server::start();
    let [first, moved] = workers(&server, NO_MEMORY);
    assert_eq!(first.ask("size 7"), "(7, 1)");
    assert_eq!(moved.hit("moved 7"), "(7, 1)");
}

#[test]
fn a_value_of_another_type_is_a_miss() {
    let server = Server::start();
    let [first, changed] = workers(&server, NO_MEMORY);
    assert_eq!(first.ask("size 7"), "(7, 1)");
    assert_eq!(changed.ask("changed 7"), r#"(7, "three")"#);
    assert_eq!(changed.hit("changed 7"), r#"(7, "three")"#);
    assert_eq!(first.ask("size 7"), "(7, 1)", "and the other way round");
}

#[test]
fn versions_live_side_by_side() {
    let server = Server::start();
    let [first, renewed] = workers(&server, NO_MEMORY);
    assert_eq!(first.ask("size 7"), "(7, 1)");
    assert_eq!(renewed.ask("renewed 7"), "(7, 4)");
    assert_eq!(renewed.hit("renewed 7"), "(7, 4)");
    assert_eq!(first.hit("size 7"), "(7, 1)");
}
