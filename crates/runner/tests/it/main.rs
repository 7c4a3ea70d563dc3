//! Jobs under a real keeper: what arrives, what is refused, and that nothing is left running.

mod confinement;
mod endings;
mod job;
mod leftovers;
mod output;
