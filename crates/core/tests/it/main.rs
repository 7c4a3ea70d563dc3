//! The core over real databases, every test on SQLite and on PostgreSQL.

mod bootstrap;
mod catalog;
mod credentials;
mod images;
mod jobs;
mod secrets;
mod support;
