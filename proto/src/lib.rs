//! The wire between our own processes: generated code only, no logic.

#![allow(clippy::all, clippy::pedantic, unreachable_pub)]

/// Operations, routing, and the config server's service.
pub mod cluster {
    tonic::include_proto!("shoal.cluster.v1");
}

/// What the members of a replica set say to each other.
pub mod replication {
    tonic::include_proto!("shoal.replication.v1");
}
