//! A minimal ZMTP 3.0 client (RFC 23), so that the load generator costs next to nothing and talks to every library of
//! the protocol alike, in plain text or with CURVE. It refuses replies that are not one body
//! behind one empty delimiter. It trusts the servers that this program started.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::curve::{Cipher, Handshake, Keys};

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
    outbox: Vec<u8>,
}

impl Client {
    /// Connects and shakes hands, with CURVE where there are keys.
    pub(crate) fn connect(address: SocketAddr, socket_type: SocketType, keys: Option<&Keys>) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, inbox: Inbox::new(), outbox: Vec::new() };
        client.shake_hands(socket_type, keys).context("cannot shake hands")?;
        Ok(client)
    }

    /// Sends a request so many times at once.
    pub(crate) fn send(&mut self, body: &[u8], count: usize) -> Result<()> {
        self.outbox.clear();
        for _ in 0..count {
            write_request(self.inbox.cipher.as_mut(), body, &mut self.outbox)?;
        }
        self.stream.write_all(&self.outbox).context("cannot send")
    }

    /// Reads once, then passes the body of every complete reply to `check`; returns how many there were.
    pub(crate) fn receive(&mut self, check: impl Fn(&[u8]) -> Result<()>) -> Result<usize> {
        self.read().context("no reply")?;
        self.inbox.drain(check)
    }

    fn shake_hands(&mut self, socket_type: SocketType, keys: Option<&Keys>) -> Result<()> {
        let ours = greeting(if keys.is_some() { b"CURVE" } else { b"NULL" });
        self.stream.write_all(&ours)?;
        let mut theirs = [0; GREETING_BYTES];
        self.stream.read_exact(&mut theirs)?;
        let [0xff, _, _, _, _, _, _, _, _, 0x7f, 3..=0x7f, _, mechanism @ ..] = &theirs else {
            bail!("the server speaks no ZMTP 3");
        };
        ensure!(ours.get(12..32) == mechanism.get(..20), "the server has another mechanism");
        let metadata = metadata(socket_type);
        let Some(keys) = keys else {
            self.command(&[b"\x05READY", &metadata[..]].concat())?;
            return self.hear(b"\x05READY").map(drop);
        };
        let handshake = Handshake::new(keys);
        self.command(&handshake.hello()?)?;
        let welcome = self.hear(b"\x07WELCOME")?;
        let (initiate, cipher) = handshake.initiate(&welcome, &metadata)?;
        self.command(&initiate)?;
        self.hear(b"\x05READY")?;
        self.inbox.cipher = Some(cipher);
        Ok(())
    }

    fn command(&mut self, body: &[u8]) -> Result<()> {
        let mut frame = Vec::new();
        write_header(COMMAND, body.len(), &mut frame);
        frame.extend_from_slice(body);
        Ok(self.stream.write_all(&frame)?)
    }

    /// Waits for a command of this name.
    fn hear(&mut self, name: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(frame) = self.inbox.next_frame() {
                let body = self.inbox.get(frame.body)?;
                let name_length = name.len();
                ensure!(
                    frame.flags & COMMAND != 0 && body.get(..name_length) == Some(name),
                    "the server does not say {}",
                    String::from_utf8_lossy(name)
                );
                return Ok(body.to_vec());
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

/// Appends one request: an empty delimiter, then `body`. A REQ socket and the usual DEALER send the same bytes.
pub(crate) fn write_request(cipher: Option<&mut Cipher>, body: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let Some(cipher) = cipher else {
        let length = u8::try_from(body.len()).context("a request of this benchmark fits a short frame")?;
        out.extend_from_slice(&[MORE, 0, 0, length]);
        out.extend_from_slice(body);
        return Ok(());
    };
    for (flags, part) in [(MORE, &b""[..]), (0, body)] {
        write_header(flags, Cipher::sealed_length(part.len()), out);
        cipher.seal_into(flags, part, out);
    }
    Ok(())
}

fn write_header(flags: u8, length: usize, out: &mut Vec<u8>) {
    if let Ok(short) = u8::try_from(length) {
        out.extend_from_slice(&[flags, short]);
    } else {
        out.push(flags | LONG);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Received bytes that are not used up yet.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    unread: Range<usize>,
    delimited: bool,
    cipher: Option<Cipher>,
}

struct Frame {
    flags: u8,
    body: Range<usize>,
}

impl Inbox {
    fn new() -> Self {
        Self { buffer: vec![0; INBOX_BYTES], unread: 0..0, delimited: false, cipher: None }
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
            let bytes = self.buffer.get(frame.body).context("a frame outside the buffer")?;
            let (flags, body) = match &mut self.cipher {
                // The flags that count are in the box.
                Some(cipher) => cipher.open(bytes)?,
                None => (frame.flags & !LONG, bytes),
            };
            match (flags, self.delimited) {
                (COMMAND, _) => {}
                (MORE, false) if body.is_empty() => self.delimited = true,
                (0, true) => {
                    check(body)?;
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

fn greeting(mechanism: &[u8]) -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    greeting.extend_from_slice(mechanism);
    greeting.resize(GREETING_BYTES, 0);
    greeting
}

fn metadata(socket_type: SocketType) -> Vec<u8> {
    let name: &[u8] = match socket_type {
        SocketType::Req => b"\x03REQ",
        SocketType::Dealer => b"\x06DEALER",
    };
    [b"\x0bSocket-Type\0\0\0", name, b"\x08Identity\0\0\0\0"].concat()
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
    fn greetings_headers_and_metadata_have_the_shape_of_rfc_23() {
        assert_eq!(greeting(b"CURVE").len(), GREETING_BYTES);
        assert_eq!(metadata(SocketType::Req)[..16], *b"\x0bSocket-Type\0\0\0\x03");
        let mut header = Vec::new();
        write_header(COMMAND, 255, &mut header);
        write_header(COMMAND, 256, &mut header);
        assert_eq!(header, b"\x04\xff\x06\0\0\0\0\0\0\x01\0");
    }
}
