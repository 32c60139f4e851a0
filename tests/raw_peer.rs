//! A peer that speaks ZMTP 3.0 byte by byte (RFC 23), for what no well-behaved library would do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct RawPeer(TcpStream);

impl RawPeer {
    /// A TCP connection on which nothing has been said.
    pub(crate) fn silent(endpoint: &str) -> Self {
        let address = endpoint.strip_prefix("tcp://").expect("an endpoint");
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        Self(stream)
    }

    /// The connection itself, to be shut down while another thread writes.
    pub(crate) fn connection(&self) -> TcpStream {
        self.0.try_clone().expect("a descriptor")
    }

    /// A DEALER without an identity, after its handshake.
    pub(crate) fn dealer(endpoint: &str) -> Self {
        let mut peer = Self::silent(endpoint);
        peer.write(&greeting(b"NULL"));
        peer.read(64);
        peer.write(b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER");
        let header = peer.read(2);
        assert_eq!(header[0], 4, "a short command frame");
        peer.read(usize::from(header[1]));
        peer
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("written");
    }

    /// Writes to a server that may have hung up already.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The body of the next frame, `None` where the server has hung up.
    pub(crate) fn hear(&mut self) -> Option<Vec<u8>> {
        self.hear_frame().map(|(body, _)| body)
    }

    /// All frames of the next message.
    pub(crate) fn hear_frames(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        loop {
            let (body, more) = self.hear_frame()?;
            frames.push(body);
            if !more {
                return Some(frames);
            }
        }
    }

    fn hear_frame(&mut self) -> Option<(Vec<u8>, bool)> {
        let [flags] = self.try_read()?;
        let length = if flags & 2 == 0 {
            let [length] = self.try_read()?;
            u64::from(length)
        } else {
            u64::from_be_bytes(self.try_read()?)
        };
        let mut body = vec![0; usize::try_from(length).expect("a length")];
        self.0.read_exact(&mut body).ok().map(|()| (body, flags & 1 == 1))
    }

    fn try_read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the server says nothing"),
            Err(_) => None,
        }
    }

    /// A message of short frames.
    pub(crate) fn send_frames(&mut self, frames: &[Vec<u8>]) {
        for (index, frame) in frames.iter().enumerate() {
            let more = u8::from(index.saturating_add(1) < frames.len());
            let length = u8::try_from(frame.len()).expect("a short frame");
            self.write(&[&[more, length], &frame[..]].concat());
        }
    }

    /// A message of one short frame.
    pub(crate) fn send(&mut self, body: &[u8]) {
        let length = u8::try_from(body.len()).expect("a short frame");
        self.write(&[&[0, length], body].concat());
    }

    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// Everything that comes until the other side hangs up.
    pub(crate) fn read_to_end(&mut self) -> usize {
        let mut buffer = vec![0; 1 << 16];
        let mut total = 0_usize;
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return total,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return total,
                Ok(count) => total = total.saturating_add(count),
                Err(error) => panic!("the other side did not hang up: {error}"),
            }
        }
    }
}

/// The greeting of a client (RFC 23, 3.0) that speaks this mechanism.
pub(crate) fn greeting(mechanism: &[u8]) -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..][..mechanism.len()].copy_from_slice(mechanism);
    greeting
}
