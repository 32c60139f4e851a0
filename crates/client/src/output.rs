//! How much of a command's output has been delivered, so that after a retry nothing is delivered twice, and a gap is
//! noticed.

use bytes::Bytes;
use wire::Stream;

/// The places up to which both streams were delivered.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    stdout: u64,
    stderr: u64,
}

/// What is new in a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// Bytes before it that did not come.
    pub(crate) missing: u64,
    /// What was not delivered before.
    pub(crate) bytes: Bytes,
}

impl Delivered {
    /// Takes a chunk that begins at this place of its stream.
    pub(crate) fn take(&mut self, stream: Stream, offset: u64, mut bytes: Bytes) -> News {
        let place = self.place(stream);
        let known = usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        let new = bytes.split_off(known);
        let missing = offset.saturating_sub(*place);
        *place = place.saturating_add(missing).saturating_add(new.len() as u64);
        News { missing, bytes: new }
    }

    /// Takes word that the stream ended at this place. Returns how much of it did not come.
    pub(crate) fn end(&mut self, stream: Stream, length: u64) -> u64 {
        self.take(stream, length, Bytes::new()).missing
    }

    fn place(&mut self, stream: Stream) -> &mut u64 {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Delivered;
    use bytes::Bytes;
    use wire::Stream::{Stderr, Stdout};

    #[test]
    fn every_byte_is_delivered_once_and_a_gap_is_told() {
        let mut delivered = Delivered::default();
        let mut take = |stream, offset, bytes: &'static str| {
            let news = delivered.take(stream, offset, Bytes::from_static(bytes.as_bytes()));
            (news.missing, String::from_utf8(news.bytes.to_vec()).expect("text"))
        };
        assert_eq!(take(Stdout, 0, "abc"), (0, "abc".into()));
        assert_eq!(take(Stderr, 0, "x"), (0, "x".into()), "the streams are counted apart");
        assert_eq!(take(Stdout, 3, "de"), (0, "de".into()));
        // Another connection: from the beginning, in other chunks.
        assert_eq!(take(Stdout, 0, "ab"), (0, String::new()));
        assert_eq!(take(Stdout, 2, "cdefg"), (0, "fg".into()));
        assert_eq!(take(Stdout, 9, "jk"), (2, "jk".into()));
        assert_eq!(take(Stdout, u64::MAX, "z"), (u64::MAX - 11, "z".into()));
        assert_eq!(delivered.end(Stderr, 1), 0);
        assert_eq!(delivered.end(Stderr, 5), 4);
        assert_eq!(delivered.end(Stderr, 5), 0);
    }
}
