//! How long a client waits, and for what. `docs/limits.md` lists this with all other bounds.

use std::time::Duration;

use wire::limits::MAX_TIMEOUT;

/// How long [`crate::Client::connect`] looks for a server.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after a request's own time limit its reply may still come, and how long after a cancellation.
pub const REPLY_MARGIN: Duration = Duration::from_secs(10);

/// How long the reply to a request may still come when the server has said, asked to cancel it, that it has no such job.
pub const NOT_FOUND_MARGIN: Duration = Duration::from_secs(2);

/// The longest wait for a reply: the longest time limit that a request can ask for, and some time for its way.
pub const LONGEST_WAIT: Duration = MAX_TIMEOUT.saturating_add(REPLY_MARGIN);

/// How long a server that was lost is looked for, for a request without a time limit of its own.
pub const LONGEST_ABSENCE: Duration = Duration::from_mins(1);

/// How long a client pauses before it looks for a server that it has lost. After each further attempt twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long after the server knew a command's request for certain the request may be sent again: less than the hour for
/// which a server remembers an id after its job's end (`ID_MEMORY` in `crates/server`).
pub const RESEND_WITHIN: Duration = Duration::from_mins(50);

/// How often a client that waits makes sure that it still waits.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// After a longer time in which a client slept, or was not read, its connection proves nothing any more.
pub const LONGEST_UNWATCHED: Duration = Duration::from_mins(2);
