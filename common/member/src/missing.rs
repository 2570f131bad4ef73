//! Commands of MongoDB's members that ours do not have yet.

/// Sorted.
pub const MISSING: &[&str] = &[
    "abortTransaction",
    "applyOps",
    "cleanupOrphaned",
    "commitTransaction",
    "compact",
    "createRole",
    "createUser",
    "dropRole",
    "dropUser",
    "mapReduce",
    "planCacheClear",
    "prepareTransaction",
    "profile",
    "reIndex",
    "replSetMaintenance",
    "replSetResizeOplog",
    "saslContinue",
    "saslStart",
    "setFeatureCompatibilityVersion",
    "top",
    "updateRole",
    "updateUser",
    "usersInfo",
];
