//! What tests of every crate share. Nothing here is part of the product, and nothing of the product depends on it.

pub mod clock;
pub mod counts;
pub mod db;
pub mod dump;
pub mod installation;
pub mod users;
