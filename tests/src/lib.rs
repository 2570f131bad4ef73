//! The harness of the cluster tests: real processes of the built binaries on loopback, driven over real sockets.
//! It knows the wire protocol and the command line of the bundled client, and nothing of what is inside the servers.
//! Whatever fails here fails the test at once, with the end of the servers' logs.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod cities;
pub mod clients;
pub mod cluster;
pub mod driver;
pub mod net;
pub mod process;
pub mod replica_set;
pub mod wait;

pub use cluster::{Cluster, Shared};
pub use driver::{Connection, Error};
pub use replica_set::ReplicaSet;
