//! What handlers share.

use std::collections::BTreeMap;
use std::sync::Arc;

use divvy_core::id::ServerId;
use divvy_store::Store;
use tokio::sync::watch;

use crate::auth::Users;
use crate::feed::Feed;
use crate::host_side::HostSide;
use crate::hub::Hub;
use crate::parts::RoomControl;
use crate::sign_in::SignIn;
use crate::tls::Presented;
use crate::usage::Desk;
use crate::webhook::Webhooks;

use super::origin::Names;

#[derive(Clone)]
pub struct App {
    pub hub: Hub,
    pub store: Arc<Store>,
    pub feed: Feed,
    /// The number of the newest event.
    pub newest_event: watch::Receiver<u64>,
    pub name: String,
    pub hosts: Arc<BTreeMap<ServerId, Arc<HostSide>>>,
    /// Where it is asked what the GPUs use.
    pub usage: Arc<Desk>,
    /// Who is told of events.
    pub webhooks: Webhooks,
    /// In a simulated room only.
    pub room: Option<Arc<dyn RoomControl>>,
    pub users: Users,
    pub sign_in: Arc<SignIn>,
    /// Under which names it may be asked without TLS.
    pub names: Names,
    /// The certificate that it shows, if it has a listener with TLS.
    pub presented: Presented,
}
