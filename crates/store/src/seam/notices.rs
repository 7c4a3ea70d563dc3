//! What happens once a transaction has really been committed: its hooks run and its notices go out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::broadcast;

/// How many notices a slow receiver may lag behind before it is told that it lost some.
const BACKLOG: usize = 1024;

/// A message that a transaction left for everybody who works on this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub channel: String,
    pub payload: String,
}

impl Notice {
    /// The channel of a notice that nobody sent: the connection was lost for a while, so notices of any channel may be
    /// missing and the receiver has to look for itself.
    pub const RESYNC: &'static str = "resync";
}

pub(super) type Notices = broadcast::Sender<Notice>;

pub(super) fn channel() -> Notices {
    broadcast::Sender::new(BACKLOG)
}

type Hook = Box<dyn FnOnce() + Send>;

/// What a transaction wants done after its commit.
#[derive(Default)]
pub(super) struct Effects {
    hooks: Vec<Hook>,
    notices: Vec<Notice>,
}

impl Effects {
    pub(super) fn hook(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// What is to be told.
    pub(super) fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Runs the hooks in their order, then sends the notices.
    pub(super) fn run(self, notices: &Notices) {
        for hook in self.hooks {
            // One hook that panics must not take the commit thread, or the other transactions' hooks, with it.
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                tracing::error!("a hook panicked after its commit");
            }
        }
        for notice in self.notices {
            // An error only means that nobody listens now.
            let _ = notices.send(notice);
        }
    }
}
