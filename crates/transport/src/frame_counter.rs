//! Where the frames of a ZMTP 3 connection begin and end (RFC 23), known from their headers alone: CURVE seals what is
//! in them, not how long they are. Refuses nothing; the codec does.

/// A greeting, which comes first.
const GREETING_BYTES: usize = 64;

/// The flag of a frame whose length has eight bytes.
const LONG: u8 = 2;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct FrameCounter {
    /// Frames of the handshake that are still to come, and are not counted.
    handshake: u64,
    frames: u64,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Greeting(usize),
    Flags,
    /// So many bytes of the length are still to come.
    Length(u8, u64),
    /// Of so many bytes, so many are still to come.
    Body(usize, usize),
}

/// How far the last frame has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Between,
    /// So many bytes of its body are there.
    Within(usize),
}

impl FrameCounter {
    /// Counts what comes after so many frames of a handshake.
    pub(crate) fn new(handshake: u64) -> Self {
        Self { handshake, frames: 0, at: At::Greeting(GREETING_BYTES) }
    }

    /// Whole frames so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// What is still to come of the frame that has begun.
    pub(crate) fn remaining(&self) -> usize {
        match self.at {
            At::Body(_, remaining) => remaining,
            _ => 0,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        match self.at {
            At::Flags => Progress::Between,
            At::Greeting(_) | At::Length(..) => Progress::Within(0),
            At::Body(length, remaining) => Progress::Within(length.saturating_sub(remaining)),
        }
    }

    /// Goes on by these bytes, and tells the length of each frame that they finish.
    pub(crate) fn count(&mut self, mut bytes: &[u8], mut finished: impl FnMut(usize)) {
        while !bytes.is_empty() {
            let (step, next) = match self.at {
                At::Greeting(remaining) => {
                    let step = bytes.len().min(remaining);
                    let left = remaining.saturating_sub(step);
                    (step, if left == 0 { At::Flags } else { At::Greeting(left) })
                }
                At::Flags => {
                    let is_long = bytes.first().is_some_and(|flags| flags & LONG != 0);
                    (1, At::Length(if is_long { 8 } else { 1 }, 0))
                }
                At::Length(left, length) => {
                    let length = (length << 8) | u64::from(bytes.first().copied().unwrap_or_default());
                    let length_in_memory = usize::try_from(length).unwrap_or(usize::MAX);
                    match left.saturating_sub(1) {
                        0 => (1, At::Body(length_in_memory, length_in_memory)),
                        left => (1, At::Length(left, length)),
                    }
                }
                At::Body(length, remaining) => {
                    let step = bytes.len().min(remaining);
                    (step, At::Body(length, remaining.saturating_sub(step)))
                }
            };
            bytes = bytes.get(step..).unwrap_or_default();
            self.at = next;
            if let At::Body(length, 0) = next {
                self.at = At::Flags;
                if self.handshake > 0 {
                    self.handshake = self.handshake.saturating_sub(1);
                } else {
                    self.frames = self.frames.saturating_add(1);
                    finished(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameCounter, GREETING_BYTES, Progress};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn frame(length: usize, long: bool) -> Vec<u8> {
        let header = match u8::try_from(length) {
            Ok(length) if !long => vec![1, length],
            _ => [&[2_u8][..], &(length as u64).to_be_bytes()].concat(),
        };
        [header, vec![0xff; length]].concat()
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_their_bytes_come(
            handshake in 0..3_u64,
            frames in vec((0..600_usize, any::<bool>()), 0..30),
            cuts in vec(1..400_usize, 1..20),
        ) {
            let mut bytes = vec![0xff; GREETING_BYTES];
            bytes.extend(frames.iter().flat_map(|&(length, long)| frame(length, long)));
            let mut counter = FrameCounter::new(handshake);
            let mut found = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                counter.count(now, |length| found.push(length));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let lengths: Vec<_> = frames.iter().skip(handshake as usize).map(|frame| frame.0).collect();
            prop_assert_eq!(counter.frames(), lengths.len() as u64);
            prop_assert_eq!(found, lengths);
            prop_assert_eq!(counter.progress(), Progress::Between);
            counter.count(&[2, 0, 0, 0, 0, 0, 0, 1, 0, 7], |_| panic!("it is not whole"));
            prop_assert_eq!((counter.progress(), counter.remaining()), (Progress::Within(1), 255));
            counter.count(&[0xff; 255], |_| ());
            // No length overflows.
            counter.count(&[2, 255, 255, 255, 255, 255, 255, 255, 255, 7], |_| panic!("it is not whole"));
            prop_assert_eq!(counter.progress(), Progress::Within(1));
        }
    }
}
