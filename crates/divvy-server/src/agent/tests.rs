use std::sync::Arc;

use divvy_sim::machine::Connection;
use divvy_sim::room::Room;
use divvy_sim::spec::Delays;
use divvy_store::Store;

use crate::testing::Daemon;

/// The room's hypervisor fails the first call and answers the second one. A start takes two turns: had
/// the first one asked, the second one would be answered.
#[test]
fn the_first_turn_of_a_start_does_not_ask_the_hypervisor() {
    let room = Room::open("a2-edge", 1, Delays::none()).expect("a room");
    room.servers[0].set_connection(Connection::DropsOnce);
    let mut daemon = Daemon::with_store(room, Arc::new(Store::memory()));
    assert_eq!(daemon.state().vms().count(), 0, "the second turn asked first, and was not answered");
    daemon.turn();
    assert!(daemon.state().vms().count() > 0);
}
