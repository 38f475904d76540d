//! The identity element: who the machine is.
//!
//! What can be asked by a file is a file of the view. Here are the system
//! calls: uname(2), sethostname(2) and setdomainname(2).

mod names;
