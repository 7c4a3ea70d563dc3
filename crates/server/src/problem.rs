//! Failures of the program as a person reads them: what went wrong, why, and what to do next.

use std::fmt;
use std::io::Write;

/// A failure together with the next step. It travels as a context of [`anyhow::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    what: String,
    next: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A failure that has no cause below it.
    #[must_use]
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into() }
    }
}

/// Adds what to do next to an error.
pub trait Advise<T> {
    /// Says what could not be done and what the operator can do about it; the error becomes the cause.
    fn advise(self, what: impl Into<String>, next: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn advise(self, what: impl Into<String>, next: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| error.into().context(Problem::new(what, next)))
    }
}

/// Writes `error: …`, a line for each cause, and the next step if somebody gave one.
pub fn print(error: &anyhow::Error, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "error: {error}")?;
    for cause in error.chain().skip(1) {
        writeln!(out, "  because: {cause}")?;
    }
    if let Some(problem) = error.downcast_ref::<Problem>() {
        writeln!(out, "  next: {}", problem.next)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_the_next_step_are_printed() {
        let inner: Result<(), _> = Err(std::io::Error::other("address in use"));
        let error = inner.advise("cannot listen", "choose another port").unwrap_err().context("cannot start");
        let mut out = Vec::new();
        print(&error, &mut out).unwrap();
        let wanted =
            "error: cannot start\n  because: cannot listen\n  because: address in use\n  next: choose another port\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
