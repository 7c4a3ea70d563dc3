//! What hides a job's secrets in everything that leaves the worker: the one place that its output and the words about
//! it pass through.

use chandler_core::jobs::link::{Materials, Report};

use crate::mask::{Mask, Masked};

/// Knows what is to be hidden.
#[derive(Clone, Debug, Default)]
pub(super) struct Hiding {
    /// `None`: nothing is known yet.
    mask: Option<Mask>,
}

/// One output of the job under it.
#[derive(Debug)]
pub(super) struct Hidden {
    stream: Option<Masked>,
}

impl Hiding {
    /// # Errors
    /// The secrets cannot be looked for; a sentence for the job.
    pub(super) fn of(materials: &Materials) -> Result<Self, String> {
        let password = materials.registry.iter().map(|login| login.password.as_bytes());
        match Mask::new(materials.secrets.values().chain(password)) {
            Ok(mask) => Ok(Self { mask: Some(mask) }),
            Err(error) => Err(format!(
                "The job's secrets cannot be hidden in its log ({error}). Attach fewer or shorter credentials."
            )),
        }
    }

    pub(super) fn stream(&self) -> Hidden {
        Hidden { stream: self.mask.as_ref().map(Mask::stream) }
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.mask.as_ref().map_or_else(|| text.to_owned(), |mask| mask.text(text))
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
        match &mut self.stream {
            Some(stream) => stream.feed(&bytes),
            None => bytes,
        }
    }

    /// What was held back.
    pub(super) fn end(&mut self) -> Vec<u8> {
        self.stream.as_mut().map(Masked::end).unwrap_or_default()
    }
}
