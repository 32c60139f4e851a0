//! The bounds of a request, known to both sides. `docs/limits.md` lists them with all others.

use std::time::Duration;

/// Longest request, in bytes of its JSON frame.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Longest `id` that a client may choose, in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// Most `parameters` in one request.
pub const MAX_PARAMETERS: usize = 256;

/// Most `variables` in one request.
pub const MAX_VARIABLES: usize = 1024;

/// Most brackets within each other in the value of a variable. What follows is refused before it is logged: many readers
/// of JSON end at some depth.
pub const MAX_VARIABLE_DEPTH: usize = 4;

/// Most `columns` in one request.
pub const MAX_COLUMNS: usize = 64;

/// Most bytes in all frames of columns of one request: four columns of a million doubles.
pub const MAX_COLUMN_BYTES: usize = 32 * 1024 * 1024;

/// Longest `timeout` that a request may ask for.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(24);
