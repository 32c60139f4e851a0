//! The return address of RFC 28: the frames up to and including the first empty one. Each device between client and
//! server adds one, REQ its request id; whatever they hold comes back byte for byte. Refuses to take a request for one.

use bytes::Bytes;
use omq::Message;
use wire::has_command_type;

use crate::limits::{MAX_ADDRESS_BYTES, MAX_ENVELOPE_FRAMES};

/// What stands before a request, and comes back before its reply and each of its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    addresses: Vec<Bytes>,
    delimited: bool,
}

impl Envelope {
    /// The envelope of a message: up to its first empty frame, if what stands there can be addresses. A message of a
    /// DEALER that sends none may have an empty column; its first frame is then the request itself.
    pub(crate) fn of(message: &Message) -> Self {
        let frames = || (0..MAX_ENVELOPE_FRAMES).map_while(|index| message.part_slice(index));
        let Some(addresses) = frames().position(<[u8]>::is_empty) else { return Self::default() };
        let frames_behind = message.len().saturating_sub(addresses).saturating_sub(1);
        let are_addresses = frames().take(addresses).all(|frame| frame.len() <= MAX_ADDRESS_BYTES);
        if !are_addresses || frames().next().is_some_and(|first| is_request(first, frames_behind)) {
            return Self::default();
        }
        // Copied, so that they do not keep the buffer that the whole message arrived in.
        let copied = frames().take(addresses).map(Bytes::copy_from_slice);
        Self { addresses: copied.collect(), delimited: true }
    }

    /// How many frames it has.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len().saturating_add(usize::from(self.delimited))
    }

    /// Puts it before a reply or an event.
    pub(crate) fn enclose(&self, body: Message) -> Message {
        if !self.delimited {
            return body;
        }
        let delimited = Message::with_prefix(Bytes::new(), body);
        let addresses = self.addresses.iter().rev();
        addresses.fold(delimited, |message, address| Message::with_prefix(address.clone(), message))
    }

    /// What it adds to a message that waits, in bytes.
    pub(crate) fn cost(&self) -> usize {
        let addresses = self.addresses.iter().map(|address| address.len().saturating_add(size_of::<Bytes>()));
        addresses.sum()
    }
}

/// Whether this first frame is a request, though an empty frame comes after it. A routing id may look like any JSON
/// but one that says what it asks for. Where nothing stands behind the empty frame, there is nothing else to answer.
fn is_request(first: &[u8], frames_behind: usize) -> bool {
    first.trim_ascii_start().starts_with(b"{") && (frames_behind == 0 || has_command_type(first))
}

#[cfg(test)]
mod tests {
    use super::Envelope;
    use crate::limits::{MAX_ADDRESS_BYTES, MAX_ENVELOPE_FRAMES};
    use bytes::Bytes;
    use omq::Message;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    const REQUEST: &[u8] = br#"{"command_type":"compute","expression":"x","columns":["x"]}"#;

    fn message(frames: &[&[u8]]) -> Message {
        Message::multipart(frames.iter().map(|frame| Bytes::copy_from_slice(frame)))
    }

    fn frames(message: &Message) -> Vec<Vec<u8>> {
        (0..message.len()).map(|index| message.part_slice(index).expect("a frame").to_vec()).collect()
    }

    #[track_caller]
    fn check(sent: &[&[u8]], envelope: usize) {
        assert_eq!(Envelope::of(&message(sent)).len(), envelope, "{sent:?}");
    }

    #[test]
    fn the_envelope_ends_at_the_first_empty_frame() {
        check(&[REQUEST], 0);
        check(&[b"", REQUEST], 1);
        check(&[b"\0\0\0\x07", b"", REQUEST], 2);
        check(&[b"\0\0\0\x07", b"", REQUEST, b"", b""], 2);
        check(&[b"a", b"b", b"c", b"", REQUEST], 4);
        check(&[b"", b"", REQUEST], 1);
        check(&[b""], 1);
        check(&[b"a", b""], 2);
        check(&[b"a", b"b"], 0);
    }

    #[test]
    fn a_request_without_an_envelope_keeps_its_empty_columns() {
        check(&[REQUEST, b""], 0);
        check(&[REQUEST, b"12345678", b""], 0);
        check(&[REQUEST, b"", b"12345678"], 0);
        check(&[br#" {"command\u005ftype":"compute"}"#, b"", b"12345678"], 0);
        check(&[&[b'x'; MAX_ADDRESS_BYTES + 1], b"", b"12345678"], 0);
        check(&[br#"{"expression":"x","columns":["x"]}"#, b""], 0);
    }

    #[test]
    fn a_routing_id_may_begin_like_json() {
        for address in [&b"{\0\0\0"[..], b"{}", b"{\"a\"", br#"{"host":"web1"}"#, br#"["command_type"]"#] {
            check(&[address, b"", REQUEST], 2);
            check(&[b"first", address, b"", REQUEST], 3);
        }
    }

    #[test]
    fn what_is_too_much_for_an_envelope_is_none() {
        let deep = vec![&b"a"[..]; MAX_ENVELOPE_FRAMES];
        check(&[&deep[1..], &[b"", REQUEST]].concat(), MAX_ENVELOPE_FRAMES);
        check(&[&deep, &[&b""[..], REQUEST][..]].concat(), 0);
        check(&[&[b'a'; MAX_ADDRESS_BYTES], b"", REQUEST], 2);
        check(&[b"a", &[b'a'; MAX_ADDRESS_BYTES + 1], b"", REQUEST], 0);
    }

    proptest! {
        #[test]
        fn whatever_stands_before_the_first_empty_frame_comes_back(
            addresses in vec(vec(any::<u8>(), 1..=MAX_ADDRESS_BYTES), 0..MAX_ENVELOPE_FRAMES),
            request in vec(any::<u8>(), 1..100),
            columns in vec(vec(any::<u8>(), 0..20), 0..5),
            reply in vec(vec(any::<u8>(), 0..200), 1..=2),
        ) {
            let prefix: Vec<Vec<u8>> = addresses.into_iter().chain([vec![]]).collect();
            let sent: Vec<_> = prefix.iter().chain([&request]).chain(&columns).cloned().collect();
            let envelope = Envelope::of(&Message::multipart(sent));
            prop_assert_eq!(envelope.len(), prefix.len());
            let body = if reply.len() == 1 { Message::single(reply[0].clone()) } else { Message::multipart(reply.clone()) };
            let back = frames(&envelope.enclose(body));
            prop_assert_eq!(back, [prefix, reply].concat());
        }

        #[test]
        fn no_frames_are_too_strange_to_be_told_apart(
            sent in vec(vec(any::<u8>(), 0..4), 0..25),
        ) {
            let message = Message::multipart(sent.clone());
            let envelope = Envelope::of(&message);
            let back = frames(&envelope.enclose(Message::single(&b"reply"[..])));
            prop_assert_eq!(&back[..envelope.len()], &sent[..envelope.len()]);
            prop_assert_eq!(&back[envelope.len()..], [b"reply"]);
        }
    }
}
