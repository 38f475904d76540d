//! The identity element: who the machine is, and who its users are.
//!
//! What can be asked by a file is a file of the view. Here are the system
//! calls, uname(2), sethostname(2) and setdomainname(2), and what libc makes
//! of the files of users, for a door that stands before libc.

pub mod credentials;
mod database;
pub mod entries;
pub mod links;
mod machine;
mod names;

pub use database::{Database, Lines};
pub use machine::{MOST, Scale, Set};
