//! Closures that run inside a transaction, with futures that are known to be `Send`.
//!
//! `AsyncFn` alone cannot say that the future is `Send`, and the compiler cannot find it out behind a function that is
//! generic over the closure: a handler that awaits such a function would not be `Send` either. [`Work`] says it, for one
//! argument type. A bound needs both: `AsyncFn` makes the compiler infer the closure's signature, `Work` gives the future.
//!
//! ```ignore
//! async fn write<T: Send, F>(&self, run: F) -> Result<T>
//! where
//!     F: Send + AsyncFn(&mut Write<'_>) -> Result<T> + for<'w, 't> Work<&'w mut Write<'t>, Result<T>>,
//! {
//!     self.db.write(async |tx| run.run(&mut Write::new(tx)).await).await
//! }
//! ```

/// A closure `async |argument| { .. }`, without `move`, that only borrows what it captures and does not change it.
#[diagnostic::on_unimplemented(
    message = "this is no `async |argument| {{ .. }}` closure that only borrows what it captures, with a future that is `Send`",
    note = "write it without `move`, and do not change captured variables inside: a transaction may run more than once"
)]
pub trait Work<Argument, Output>: Sync {
    type Running: Future<Output = Output> + Send;

    fn run(&self, argument: Argument) -> Self::Running;
}

impl<Argument, Output, Closure, Running> Work<Argument, Output> for Closure
where
    Closure: Fn(Argument) -> Running + Sync,
    Running: Future<Output = Output> + Send,
{
    type Running = Running;

    fn run(&self, argument: Argument) -> Running {
        self(argument)
    }
}
