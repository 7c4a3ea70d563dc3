//! The core over real databases, every test on SQLite and on PostgreSQL.

mod bench;
mod bootstrap;
mod catalog;
mod contention;
mod credentials;
mod endings;
mod flows;
mod images;
mod jobs;
mod parents;
mod queue;
mod random;
mod secrets;
mod simulation;
mod states;
mod support;
mod tags;
