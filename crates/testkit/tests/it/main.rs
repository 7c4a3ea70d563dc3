//! The one integration binary of the test kit: the house rules and the test databases.

#[cfg(test)]
mod databases;
#[cfg(test)]
mod house;
