//! The bounds of the transport. `docs/limits.md` lists them with all others.

use std::time::Duration;

/// Largest message, in bytes of all its frames. Larger than the longest request with the most columns, so that a
/// request which is too long is still answered; past this the connection is dropped.
pub const MAX_MESSAGE_BYTES: usize = 33 * 1024 * 1024;

/// Most frames of an envelope, the empty one included: one for each device between client and server, and the request
/// id of a REQ. Where the first empty frame comes later, the message has no envelope.
pub const MAX_ENVELOPE_FRAMES: usize = 17;

/// Longest address in an envelope, in bytes: ZeroMQ permits no longer routing id (RFC 28).
pub const MAX_ADDRESS_BYTES: usize = 255;

/// Most frames behind the envelope that are kept; a message of more has no body.
pub const MAX_REQUEST_FRAMES: usize = 65;

/// Most frames taken from the socket before the server's loop looks at anything else.
pub const MAX_BATCH: usize = 128;

/// Received messages that may wait for the server's loop.
pub const RECEIVE_HIGH_WATER_MARK: u32 = 64;

/// Replies that may wait in one connection's own queue. Small, because a reply may be long; what is past it is
/// counted in bytes.
pub const SEND_HIGH_WATER_MARK: u32 = 128;

/// From this length on a reply counts among the bytes that its client has not read. Shorter ones are bounded by their
/// number.
pub const LONG_REPLY_BYTES: usize = 4 * 1024;

/// Replies that a client has not read: the bytes of long ones, and of those behind its own full queue. A client that
/// leaves more unread is disconnected.
pub const MAX_BACKLOG_BYTES: usize = 8 * 1024 * 1024;

/// What a waiting reply counts for beside its own bytes: what the queues need to hold it.
pub const WAITING_REPLY_OVERHEAD: usize = 512;

/// Columns that a client has not read, in bytes. A client that leaves more unread is disconnected.
pub const MAX_UNREAD_COLUMN_BYTES: usize = 128 * 1024 * 1024;

/// Bytes of output in one event of a stream.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Events of one stream that have not left the server, in bytes. Past it the sender waits.
pub const MAX_UNSENT_STREAM_BYTES: u32 = 1024 * 1024;

/// What a waiting event counts for beside its own bytes: what the queues need to hold it.
pub const WAITING_EVENT_OVERHEAD: usize = 512;

/// Messages that may wait at a client until they are asked for. Past it the client's own connection stops reading, and
/// its streams wait.
pub const CLIENT_HIGH_WATER_MARK: u32 = 64;

/// Descriptors that are kept for everything but connections: the log, and three for each command that runs.
pub const RESERVED_DESCRIPTORS: usize = 512;

/// Connections at once, where the system gives so many descriptors. One more is turned away before it can send a message.
pub const MAX_CONNECTIONS: usize = 16_384;

/// Connections of one listener at once that have not finished their ZMTP handshake, where the system gives so many
/// descriptors.
pub const MAX_PENDING_HANDSHAKES: usize = 1024;

/// Connections of a Unix socket that wait to be accepted.
pub const UNIX_BACKLOG: i32 = 128;

/// Into how many parts the connections are divided; one user has at most one.
pub const CONNECTION_PARTS: usize = 4;

/// Bytes that a connection may send before its handshake is over.
pub const MAX_HANDSHAKE_BYTES: usize = 8 * 1024;

/// What a connection may hold, in bytes, of messages that the server has not taken, without a loan.
pub const FREE_BYTES: usize = 16 * 1024;

/// What it may hold with one. More than [`MAX_MESSAGE_BYTES`] by what counts beside the bytes.
pub const MAX_HELD_BYTES: usize = 40 * 1024 * 1024;

/// Messages longer than [`FREE_BYTES`] that may be on their way into the server at once: how many loans there are.
pub const LARGE_MESSAGES: usize = 12;

/// How many of them one user has.
pub const LARGE_MESSAGES_A_USER: usize = 3;

/// How long such a message may take when others wait to send one.
pub const LARGE_MESSAGE_PATIENCE: Duration = Duration::from_mins(1);

/// How often those who wait look whether one has taken too long.
pub const RECALL_INTERVAL: Duration = Duration::from_secs(1);

/// What a frame counts for beside its own bytes: what the codec needs to hold it.
pub const HELD_FRAME_OVERHEAD: usize = 128;

/// What a read counts for that ends within a frame: what the codec needs to remember the piece.
pub const PART_READ_OVERHEAD: usize = 64;

/// Most bytes that are read at once, but of the longest frames. The library doubles the buffer of a connection that
/// fills it, and keeps it; this way to 32 KiB and no further.
pub const MAX_READ_BYTES: usize = 32 * 1024 - 1;

/// Heartbeats that a client may send in one [`HEARTBEAT_WINDOW`]. Past it the connection is not read until that is over.
pub const HEARTBEATS_A_WINDOW: u64 = 16;

/// The time that [`HEARTBEATS_A_WINDOW`] is for.
pub const HEARTBEAT_WINDOW: Duration = Duration::from_secs(1);

/// Most bytes that are read at once where there has been a heartbeat in this window, and no long frame has begun.
pub const MAX_READ_AMONG_HEARTBEATS: usize = 1024;

/// What may wait between a connection and the queue of its listener. Small, for it counts as unfinished.
pub const MAX_WAITING_EVENTS: usize = 8;

/// Connections over TCP that wait to be accepted.
pub const TCP_BACKLOG: u32 = 1024;

/// How long a listener waits before it accepts again, where the system has no descriptor left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// From this length on a frame is read into a buffer of its own, so that it is not copied. The library keeps buffers of
/// up to 8 MiB with their connection for as long as that lives, and longer ones not.
pub const LARGE_PAYLOAD_BYTES: usize = 8 * 1024 * 1024 + 1;

/// Listeners of one server.
pub const MAX_LISTENERS: usize = 8;

/// Longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 4096;

/// Addresses whose failed handshakes are counted: IPv4 addresses and IPv6 networks. Past it the one that failed
/// longest ago is forgotten.
pub const MAX_FAILING_ADDRESSES: usize = 1024;

/// How long after its last failed handshake an address has a clean sheet again.
pub const FAILURE_MEMORY: Duration = Duration::from_mins(10);

/// Failed handshakes that cost an address nothing; people mistype.
pub const FREE_FAILURES: u64 = 3;

/// How long the next handshake with a key that may not connect is kept waiting. Each one after it waits twice as long.
pub const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest that it is kept waiting.
pub const MAX_DELAY: Duration = Duration::from_secs(1);

/// Handshakes that are kept waiting at once. Past it they are refused without waiting.
pub const MAX_SLOWED: usize = 32;

/// Failed handshakes that wait to be logged.
pub const MAX_REPORTS: usize = 64;

/// Failed handshakes that are logged in one [`REPORT_INTERVAL`], of all addresses together. The others are counted, and
/// the next record has their number.
pub const MAX_REPORTS_AN_INTERVAL: u32 = 64;

/// The time that [`MAX_REPORTS_AN_INTERVAL`] is for.
pub const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// Bytes of the reason of a failed handshake.
pub const MAX_REASON_BYTES: usize = 200;

/// How long the connection of a key stays open that may not connect any more. Until then its requests are refused.
pub const REVOKED_LINGER: Duration = Duration::from_secs(10);

/// Time for a ZMTP handshake, from the accepted connection to READY.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a connection is asked for a sign of life (ZMTP PING).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(1);

/// A connection without a sign of life for this long is dropped.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_mins(5);

/// How often a client asks its server for a sign of life, so that a machine which is gone is noticed.
pub const CLIENT_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);

/// A server without a sign of life for this long is lost.
pub const CLIENT_HEARTBEAT_TIMEOUT: Duration = Duration::from_mins(1);

/// At the end of the server: time for replies to reach the kernel.
pub const LINGER: Duration = Duration::from_secs(2);
