//! The core over real databases, every test on SQLite and on PostgreSQL.

mod bench;
mod bootstrap;
mod catalog;
mod credentials;
mod endings;
mod flows;
mod images;
mod jobs;
mod parents;
mod queue;
mod secrets;
mod states;
mod support;
mod tags;
