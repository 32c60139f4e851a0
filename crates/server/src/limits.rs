//! The bounds of the server. `docs/limits.md` lists them with all others.

use std::time::Duration;

/// Longest configuration, in bytes.
pub const MAX_CONFIGURATION_BYTES: u64 = 512 * 1024;

/// Commands that run at once. One more is answered `busy`.
pub const COMMANDS_AT_ONCE: usize = 128;

/// The most that `commands_at_once` can be set to.
pub const MAX_COMMANDS_AT_ONCE: usize = 1024;

/// Computations that wait for a worker because they are too long for the server's loop. One more is answered `busy`.
pub const COMPUTATIONS_WAITING: usize = 256;

/// Bytes of columns, as they came, that are being computed at once or whose result has not left yet. More is answered
/// `busy`.
pub const COLUMN_BYTES_AT_ONCE: usize = 256 * 1024 * 1024;

/// The same of one user.
pub const COLUMN_BYTES_BY_USER: usize = 64 * 1024 * 1024;

/// The most that `computations_waiting` can be set to.
pub const MAX_COMPUTATIONS_WAITING: usize = 4096;

/// How long a command may run whose rule says nothing else.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(10);

/// The most that `memory` of a rule can be.
pub const MAX_ADDRESS_SPACE_BYTES: u64 = 1 << 44;

/// The most that `max_processes` of a rule can be.
pub const MAX_PROCESSES: u32 = 4096;

/// The most that `max_file` of a rule can be.
pub const MAX_FILE_BYTES: u64 = 1 << 44;

/// The most that `max_output` of a rule can be.
pub const MAX_WRITTEN_BYTES: u64 = 1 << 40;

/// What a client that was told `busy` should wait before it asks again.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Kept bytes of each output stream of a command.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// Bytes of each output stream that reach the log; the reply carries all that is kept.
pub const MAX_LOGGED_OUTPUT_BYTES: usize = 64 * 1024;

/// Bytes of a request that is not JSON which reach the log.
pub const MAX_LOGGED_EXCERPT_BYTES: usize = 256;

/// Longest line of the log that is read back when the server starts.
pub const MAX_LOG_LINE_BYTES: u64 = 4 * 1024 * 1024;

/// At the end of the server: time for running commands to end by themselves.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// The most that `shutdown_grace` can be set to.
pub const MAX_SHUTDOWN_GRACE: Duration = Duration::from_mins(10);

/// At the end of the server: this long without a request, and the last one has been answered.
pub const QUIET_TIME: Duration = Duration::from_millis(100);

/// At the end of the server: requests that come later than this are not answered any more.
pub const LAST_CALL: Duration = Duration::from_secs(2);

/// How often a launcher is tried to be started again where the machine does not let it.
pub const LAUNCHER_INTERVAL: Duration = Duration::from_secs(5);

/// How often memory that is not used any more goes back to the system.
pub const MEMORY_INTERVAL: Duration = Duration::from_secs(5);

/// Bytes of the log from which on it is rotated.
pub const LOG_BYTES: u64 = 256 * 1024 * 1024;

/// The least that `log_bytes` can be set to.
pub const MIN_LOG_BYTES: i64 = 64 * 1024;

/// The most that `log_bytes` can be set to.
pub const MAX_LOG_BYTES: i64 = 1024 * 1024 * 1024 * 1024;

/// The most that `log_files` can be set to.
pub const MAX_LOG_FILES: i64 = 1_000_000;

/// How often the server looks whether its log is still the file that it writes.
pub const LOG_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How often the files of a log are listed again for one reading, because they get other names meanwhile. After that they are
/// read as they are.
pub const MAX_LISTINGS: u32 = 1000;

/// Things that are wrong with the files of a log which `bidden history --follow` remembers, not to tell them again.
pub const MAX_FINDINGS: usize = 64;

/// How long a record waits for its seal, where the log is sealed.
pub const SEAL_INTERVAL: Duration = Duration::from_secs(1);

/// The most seals that a key is asked for when a log is verified: one a second for a generation.
pub const MAX_EPOCHS: u64 = 1 << 30;

/// How often connections are looked for whose user's time is over.
pub const REVOCATION_INTERVAL: Duration = Duration::from_mins(1);

/// Jobs that wait for their turn. One more is answered `busy`.
pub const COMMANDS_WAITING: usize = 128;

/// The most that `commands_waiting` can be set to.
pub const MAX_COMMANDS_WAITING: usize = 4096;

/// Jobs of one user that run or wait. One more is answered `busy`.
pub const COMMANDS_BY_USER: usize = 64;

/// Jobs that are kept after their end, for those who come for their results.
pub const KEPT_JOBS: usize = 256;

/// Bytes of output that are kept of jobs which have ended, of all together.
pub const KEPT_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// How long a job is kept after its end.
pub const KEPT_AGE: Duration = Duration::from_hours(1);

/// How long the id of a request is remembered after the end of its job: for so long it is not executed again.
pub const ID_MEMORY: Duration = Duration::from_hours(1);

/// Ids are forgotten together, a period of them at a time: one may be remembered for so much longer.
pub const ID_PERIOD: Duration = Duration::from_mins(10);

/// Ids that one user can use within [`ID_MEMORY`]: 1,100 a second. One more is answered `busy`.
pub const IDS_BY_USER: u64 = 4_000_000;

/// Used ids that are not on the disk yet. One more is answered `busy`.
pub const IDS_UNSTORED: usize = 65_536;

/// How long a used id is in memory alone. A server that is killed meanwhile finds it in the log.
pub const IDS_INTERVAL: Duration = Duration::from_secs(1);

/// Memory for what is read of the file of used ids, in bytes.
pub const IDS_CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Pieces of output that wait for the client that streams them, beside those that its connection holds.
pub const PIECES_WAITING: usize = 2;

/// How long a client that streams may read nothing before its stream is given up.
pub const STREAM_PATIENCE: Duration = Duration::from_mins(1);

/// The most that `concurrency` of a rule can be.
pub const MAX_CONCURRENCY: i64 = 4096;

/// The most that `commands_by_user` can be set to.
pub const MAX_COMMANDS_BY_USER: usize = 4096;

/// The most that `requests_per_second` can be set to.
pub const MAX_REQUESTS_PER_SECOND: u32 = 1_000_000;

/// Bytes of requests, without columns, that a user may send in a second, where `request_bytes_per_second` says nothing else.
pub const REQUEST_BYTES_PER_SECOND: u64 = 16 * 1024 * 1024;

/// The least that `request_bytes_per_second` can be set to.
pub const MIN_REQUEST_BYTES_PER_SECOND: i64 = 1024;

/// The most that `request_bytes_per_second` can be set to.
pub const MAX_REQUEST_BYTES_PER_SECOND: i64 = 1024 * 1024 * 1024;

/// Refused requests of each user in a second that have a record. The next record has the number of the others.
pub const REFUSALS_RECORDED: u64 = 100;

/// Bytes of a refused request that reach the log as they are. Of a longer one the log has an excerpt and a hash.
pub const MAX_LOGGED_REFUSAL_BYTES: usize = 1024;

/// How much of its rate a user may use at once, after a time without requests.
pub const RATE_BURST: Duration = Duration::from_secs(1);

/// Rows of the history in one reply. Of more the newest.
pub const HISTORY_ROWS: usize = 1000;

/// Users who wait for their turn to read the history. One more is answered `busy`.
pub const HISTORY_WAITING: usize = 64;

/// Bytes of all rows of the history in one reply. Of more the newest rows.
pub const HISTORY_BYTES: usize = 1024 * 1024;

/// Requests of one user that wait for a job which another request has begun: the same request again, `cancel`, and `result`
/// with `stream`. One more is answered `busy`.
pub const WAITS_BY_USER: usize = 64;

/// Bytes of a record from which on the history keeps only its row.
pub const LONG_RECORD_BYTES: usize = 2048;
