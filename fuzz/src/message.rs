//! Messages between the server, the launcher and the jails, each kind of them read from any bytes.

/// Whatever the bytes are, each reading of them is refused, or is written again as it was.
pub fn message(bytes: &[u8]) {
    jail::check_every_reading(bytes);
}
