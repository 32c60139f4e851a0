//! Socket pairs that keep messages apart (`SOCK_SEQPACKET`), with descriptors beside the bytes (unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::limits::{MAX_ANSWER_BYTES, MAX_DESCRIPTORS, MAX_MESSAGE_BYTES};

/// A message that was received. One without bytes is the end: the other side is gone.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message as a whole. Fails, rather than waits, where the other side has not read the ones before.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags))?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives one message as a whole, if one is there: otherwise fails with `WouldBlock`.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<Received> {
    receive_within(socket, MAX_ANSWER_BYTES)
}

/// The same for an order with its arguments.
pub(crate) fn receive_order(socket: impl AsFd) -> io::Result<Received> {
    receive_within(socket, MAX_MESSAGE_BYTES)
}

/// Waits for the next message of a process that was just forked, or for its end.
pub(crate) fn wait_and_receive(socket: impl AsFd) -> io::Result<Received> {
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&socket, PollFlags::IN)], None))?;
    receive(socket)
}

fn receive_within(socket: impl AsFd, most: usize) -> io::Result<Received> {
    let mut bytes = vec![0; most];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            // The other side is gone and has left a word of ours unread. The kernel tells this once, before what the other
            // side had said; what was said, or the end, comes with the next call.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            received => break received?,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a message was longer than any may be"));
    }
    bytes.truncate(received.bytes);
    Ok(Received { bytes, descriptors })
}

#[cfg(test)]
mod tests {
    use super::{pair, receive, send};

    /// The kernel tells first that a word was left unread, and only then what had been said.
    #[test]
    fn what_was_said_before_the_end_is_heard_though_a_word_crossed_it() {
        let (ours, theirs) = pair().expect("a pair");
        send(&theirs, b"an answer", &[]).expect("sent");
        send(&ours, b"a word", &[]).expect("sent");
        drop(theirs);
        assert_eq!(receive(&ours).expect("heard").bytes, b"an answer");
        assert!(receive(&ours).expect("heard").bytes.is_empty(), "and then the end");
    }

    #[test]
    fn an_end_with_nothing_said_is_an_end() {
        let (ours, theirs) = pair().expect("a pair");
        send(&ours, b"a word", &[]).expect("sent");
        drop(theirs);
        assert!(receive(&ours).expect("heard").bytes.is_empty());
    }
}
