//! A minimal ZMTP 3.0 client for the NULL mechanism (RFC 23), so that the load generator costs next to nothing
//! and talks to every library of the protocol alike. It refuses other mechanisms, and replies that are not one body
//! behind one empty delimiter. It trusts the servers that this program started.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// What a server may take for one step before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(10);
const INBOX_BYTES: usize = 64 * 1024;
const GREETING_BYTES: usize = 64;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The socket type that the client declares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SocketType {
    Req,
    Dealer,
}

/// A connection that has shaken hands.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) inbox: Inbox,
}

impl Client {
    /// Connects and shakes hands.
    pub(crate) fn connect(address: SocketAddr, socket_type: SocketType) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, inbox: Inbox::new() };
        client.shake_hands(socket_type).context("cannot shake hands")?;
        Ok(client)
    }

    /// Sends encoded messages.
    pub(crate) fn send(&mut self, messages: &[u8]) -> Result<()> {
        self.stream.write_all(messages).context("cannot send")
    }

    /// Reads once, then passes the body of every complete reply to `check`; returns how many there were.
    pub(crate) fn receive(&mut self, check: impl Fn(&[u8]) -> Result<()>) -> Result<usize> {
        self.read().context("no reply")?;
        self.inbox.drain(check)
    }

    fn shake_hands(&mut self, socket_type: SocketType) -> Result<()> {
        self.stream.write_all(&greeting())?;
        let mut theirs = [0; GREETING_BYTES];
        self.stream.read_exact(&mut theirs)?;
        let [0xff, _, _, _, _, _, _, _, _, 0x7f, 3..=0x7f, _, b'N', b'U', b'L', b'L', 0, ..] = theirs else {
            bail!("the server speaks no ZMTP 3 with the NULL mechanism");
        };
        self.stream.write_all(&ready(socket_type))?;
        loop {
            if let Some(frame) = self.inbox.next_frame() {
                let body = self.inbox.get(frame.body)?;
                ensure!(
                    frame.flags & COMMAND != 0 && body.starts_with(b"\x05READY"),
                    "the server is not READY"
                );
                return Ok(());
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> Result<()> {
        loop {
            match self.stream.read(self.inbox.space()) {
                // A signal: what it asks for is done between two measurements.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return self.inbox.filled(result?),
            }
        }
    }
}

/// Encodes one request: an empty delimiter, then `body`. A REQ socket and the usual DEALER send the same bytes.
pub(crate) fn request(body: &[u8]) -> Result<Vec<u8>> {
    let length = u8::try_from(body.len()).context("a request of this benchmark fits a short frame")?;
    let mut message = vec![MORE, 0, 0, length];
    message.extend_from_slice(body);
    Ok(message)
}

/// Received bytes that are not used up yet.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    unread: Range<usize>,
    delimited: bool,
}

struct Frame {
    flags: u8,
    body: Range<usize>,
}

impl Inbox {
    fn new() -> Self {
        Self { buffer: vec![0; INBOX_BYTES], unread: 0..0, delimited: false }
    }

    /// Where the next bytes may be read to.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        self.buffer.get_mut(self.unread.end..).unwrap_or_default()
    }

    /// Takes note that `n` bytes were read into [`Self::space`].
    pub(crate) fn filled(&mut self, n: usize) -> Result<()> {
        ensure!(n > 0, "the server closed the connection, or a reply is longer than {INBOX_BYTES} bytes");
        self.unread.end += n;
        Ok(())
    }

    /// Passes the body of every complete reply to `check`; returns how many there were.
    pub(crate) fn drain(&mut self, check: impl Fn(&[u8]) -> Result<()>) -> Result<usize> {
        let mut replies = 0;
        while let Some(frame) = self.next_frame() {
            match (frame.flags & !LONG, self.delimited) {
                (COMMAND, _) => {}
                (MORE, false) if frame.body.is_empty() => self.delimited = true,
                (0, true) => {
                    check(self.get(frame.body)?)?;
                    self.delimited = false;
                    replies += 1;
                }
                _ => bail!("a reply is not one body behind one empty delimiter"),
            }
        }
        Ok(replies)
    }

    fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        self.buffer.get(range).context("a frame outside the buffer")
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let unread = self.buffer.get(self.unread.clone())?;
        let (flags, header, length) = match unread {
            [flags, length, ..] if flags & LONG == 0 => (*flags, 2, usize::from(*length)),
            [flags, rest @ ..] => {
                let length = u64::from_be_bytes(*rest.first_chunk()?);
                (*flags, 9, usize::try_from(length).ok()?)
            }
            [] => return None,
        };
        let start = self.unread.start + header;
        let end = start.checked_add(length)?;
        if end > self.unread.end {
            return None;
        }
        self.unread.start = end;
        Some(Frame { flags, body: start..end })
    }
}

fn greeting() -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    greeting.extend_from_slice(b"NULL");
    greeting.resize(GREETING_BYTES, 0);
    greeting
}

fn ready(socket_type: SocketType) -> Vec<u8> {
    let name: &[u8] = match socket_type {
        SocketType::Req => b"\x03REQ",
        SocketType::Dealer => b"\x06DEALER",
    };
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.extend_from_slice(name);
    body.extend_from_slice(b"\x08Identity\0\0\0\0");
    let mut frame = vec![COMMAND, u8::try_from(body.len()).unwrap_or_default()];
    frame.append(&mut body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(bytes: &[u8]) -> Inbox {
        let mut inbox = Inbox::new();
        inbox.space()[..bytes.len()].copy_from_slice(bytes);
        inbox.filled(bytes.len()).unwrap();
        inbox
    }

    fn one_of(letters: &[u8], body: &[u8]) -> Result<()> {
        ensure!(matches!(body, [letter] if letters.contains(letter)), "{body:?}");
        Ok(())
    }

    #[test]
    fn whole_replies_are_counted_and_the_rest_is_kept() {
        let mut inbox = inbox(b"\x01\0\0\x01a\x01\0\x02\0\0\0\0\0\0\0\x01b\x01\0\0\x01");
        assert_eq!(inbox.drain(|body| one_of(b"ab", body)).unwrap(), 2);
        inbox.space()[0] = b'c';
        inbox.filled(1).unwrap();
        assert_eq!(inbox.drain(|body| one_of(b"c", body)).unwrap(), 1);
    }

    #[test]
    fn a_reply_without_delimiter_or_with_two_bodies_is_refused() {
        assert!(inbox(b"\0\x01a").drain(|_| Ok(())).is_err());
        assert!(inbox(b"\x01\0\x01\x01a\0\x01b").drain(|_| Ok(())).is_err());
    }

    #[test]
    fn a_greeting_and_a_ready_command_have_the_shape_of_rfc_23() {
        assert_eq!(greeting().len(), GREETING_BYTES);
        assert_eq!(ready(SocketType::Req)[..8], *b"\x04\x26\x05READY");
        assert_eq!(ready(SocketType::Req).len(), 0x26 + 2);
    }
}
