//! What every handler is given.

use std::sync::Arc;

use chandler_core::Core;
use tokio_util::sync::CancellationToken;

use crate::throttle::Throttle;

/// The product, and what this API remembers between requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) core: Core,
    /// Fires when the server stops: streams end then.
    pub(crate) stop: CancellationToken,
    pub(crate) throttle: Arc<Throttle>,
}

impl Api {
    pub(crate) fn new(core: Core, stop: CancellationToken) -> Self {
        Self { core, stop, throttle: Arc::default() }
    }
}
