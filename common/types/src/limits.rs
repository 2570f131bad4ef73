//! Every bound that a client can meet, by name. Values as MongoDB documents them unless said otherwise.

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One wire message, header included.
pub const MESSAGE_BYTES_MAX: usize = 48_000_000;
/// One stored document.
pub const DOCUMENT_BYTES_MAX: usize = 16 * MIB;
/// What a reply or an internal document may add to a stored one.
pub const DOCUMENT_OVERHEAD_BYTES: usize = 16 * KIB;
/// Statements in one write command.
pub const WRITE_BATCH_COUNT_MAX: usize = 100_000;
/// Nesting of a document that is stored or sent (MongoDB's internal default of `maxBSONDepth`).
pub const BSON_DEPTH_MAX: usize = 200;
/// Nesting of a document that a client stores: 20 levels below [`BSON_DEPTH_MAX`].
pub const STORED_DEPTH_MAX: usize = 180;
/// Documents of a first batch when the client names no batch size.
pub const FIRST_BATCH_COUNT_DEFAULT: usize = 101;
/// Bytes of documents in one reply batch.
pub const REPLY_BATCH_BYTES_MAX: usize = 16 * MIB;
/// `db.collection`.
pub const NAMESPACE_BYTES_MAX: usize = 255;
/// Name of a database.
pub const DATABASE_NAME_BYTES_MAX: usize = 63;
/// Indexes of one collection, the one on `_id` included.
pub const INDEX_COUNT_MAX: usize = 64;
/// Fields of a compound index or shard key.
pub const INDEX_FIELD_COUNT_MAX: usize = 32;
/// Stages of one pipeline.
pub const PIPELINE_STAGE_COUNT_MAX: usize = 1_000;
/// Memory of one blocking stage (sort, group).
pub const BLOCKING_STAGE_BYTES_MAX: usize = 100 * MIB;
/// An idle cursor is closed after this many seconds.
pub const CURSOR_IDLE_SECONDS_MAX: u64 = 600;
/// Open cursors of one process; ours.
pub const CURSOR_COUNT_MAX: usize = 100_000;
/// `logicalSessionTimeoutMinutes` of hello.
pub const SESSION_TIMEOUT_MINUTES: i32 = 30;
/// Sessions that one process remembers.
pub const SESSION_COUNT_MAX: usize = 1_000_000;
/// Client metadata of hello.
pub const CLIENT_METADATA_BYTES_MAX: usize = 512;
/// `application.name` of the client metadata.
pub const APP_NAME_BYTES_MAX: usize = 128;
/// Connections of one process; ours follows the file limit where that is lower.
pub const CONNECTION_COUNT_MAX: usize = 65_536;
/// Branches and elements of one filter, counted over all levels; ours.
pub const FILTER_NODE_COUNT_MAX: usize = 4_000_000;
/// The lowest and highest wire version that we speak: 8.0.
pub const WIRE_VERSION_MIN: i32 = 0;
/// MongoDB 8.0.
pub const WIRE_VERSION_MAX: i32 = 25;
/// The version that we present ourselves as.
pub const SERVER_VERSION: &str = "8.0.0";
