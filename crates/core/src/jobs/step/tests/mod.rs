//! Proof of `step` (`docs/core/jobs.md` 9): each row of the table by its name, every event in every state of every
//! kind, and random lives with the invariants that none of them may break.

mod cases;
mod fixtures;
mod matrix;
mod sequences;
mod show;
mod table;
mod world;
