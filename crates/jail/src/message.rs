//! What crosses the sockets between the server, the launcher and the jails: few kinds of messages, each bounded, each
//! read to its last byte or refused.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::child::Step;
use crate::limits::{MAX_ANSWER_BYTES, MAX_ARGUMENTS, MAX_MESSAGE_BYTES, MAX_SECRETS};
use crate::machine::Machine;
use crate::outcome::{End, Usage};
use crate::variable::Variable;

/// From the server to the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToKeeper {
    /// Start a launcher with the policy that was read last.
    Start,
    /// Read the policy again and start a launcher with it.
    Reload,
}

/// From the keeper to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromKeeper {
    /// A launcher runs; its socket, its pidfd and the document of its policy come along.
    Started(Machine),
    /// There is no launcher, or none with the policy as it is now.
    Failed(String),
}

/// From the server to a launcher: make one more jail.
pub(crate) const ONE_MORE: &[u8] = b"+";

/// From a launcher to the server, once for each [`ONE_MORE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromLauncher {
    /// A jail; its socket comes along.
    Jail,
    /// The machine cannot give one now.
    Failed(String),
}

/// What a jail is to start. The descriptors come along: stdout, stderr and perhaps stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) command: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) secrets: Vec<Variable>,
    pub(crate) time_limit: Duration,
}

/// From the server to a jail, behind its [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToJail {
    /// Everything is written down: execute the program.
    Go,
    /// End the command, because the server wants it.
    Cancel,
    /// End the command, because it wrote too much.
    OutputLimit,
}

/// From a jail to the server, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromJail {
    /// The command ended, and none of its processes is left.
    Ended(End, Usage),
    /// The program is not there, or not the one that the policy meant.
    Missing(String),
    /// The plan is none that the policy allows.
    Refused(String),
    /// One of the steps between fork and exec failed (errno(3)).
    Failed(Step, i32),
}

/// A message that is none of those that may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message between the server and the launcher is malformed")]
pub(crate) struct Malformed;

impl ToKeeper {
    pub(crate) fn encode(self) -> &'static [u8] {
        match self {
            Self::Start => b"s",
            Self::Reload => b"r",
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            b"s" => Ok(Self::Start),
            b"r" => Ok(Self::Reload),
            _ => Err(Malformed),
        }
    }
}

impl FromKeeper {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Started(machine) => [&b"s"[..], &machine.encode()].concat(),
            Self::Failed(reason) => with_text(b'f', reason),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.split_first().ok_or(Malformed)? {
            (b's', rest) => Machine::decode(rest).map(Self::Started).ok_or(Malformed),
            (b'f', rest) => Ok(Self::Failed(text(rest))),
            _ => Err(Malformed),
        }
    }
}

impl FromLauncher {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Jail => b"j".to_vec(),
            Self::Failed(reason) => with_text(b'f', reason),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.split_first().ok_or(Malformed)? {
            (b'j', []) => Ok(Self::Jail),
            (b'f', rest) => Ok(Self::Failed(text(rest))),
            _ => Err(Malformed),
        }
    }
}

impl Order {
    /// Nothing where it would be longer than any message, or hold more arguments or secrets than any command.
    pub(crate) fn encode(&self) -> Option<Zeroizing<Vec<u8>>> {
        if self.arguments.len() > MAX_ARGUMENTS || self.secrets.len() > MAX_SECRETS {
            return None;
        }
        // Of its whole length from the beginning, so that no copy is left behind when it grows.
        let texts = self.arguments.iter().map(String::len);
        let values =
            self.secrets.iter().map(|secret| secret.name.len().saturating_add(secret.reveal().len()));
        let length = texts.chain(values).fold(self.command.len(), usize::saturating_add);
        let lengths = self.arguments.len().saturating_add(self.secrets.len().saturating_mul(2));
        let room = length.saturating_add(lengths.saturating_mul(size_of::<u32>())).saturating_add(64);
        if room > MAX_MESSAGE_BYTES {
            return None;
        }
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        out.extend_from_slice(&u64::try_from(self.time_limit.as_millis()).ok()?.to_le_bytes());
        push_text(&mut out, &self.command)?;
        out.push(u8::try_from(self.secrets.len()).ok()?);
        for secret in &self.secrets {
            push_text(&mut out, &secret.name)?;
            push_text(&mut out, secret.reveal())?;
        }
        for argument in &self.arguments {
            push_text(&mut out, argument)?;
        }
        Some(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (time_limit, mut rest) = bytes.split_first_chunk::<8>().ok_or(Malformed)?;
        let command = take_text(&mut rest)?;
        let (secret_count, behind) = rest.split_first().ok_or(Malformed)?;
        if usize::from(*secret_count) > MAX_SECRETS {
            return Err(Malformed);
        }
        rest = behind;
        let mut secrets = Vec::new();
        for _ in 0..*secret_count {
            let name = take_text(&mut rest)?;
            secrets.push(Variable::new(name, take_text(&mut rest)?));
        }
        let mut arguments = Vec::new();
        while !rest.is_empty() {
            if arguments.len() == MAX_ARGUMENTS {
                return Err(Malformed);
            }
            arguments.push(take_text(&mut rest)?);
        }
        let time_limit = Duration::from_millis(u64::from_le_bytes(*time_limit));
        Ok(Self { command, arguments, secrets, time_limit })
    }
}

impl ToJail {
    pub(crate) fn encode(self) -> &'static [u8] {
        match self {
            Self::Go => b"g",
            Self::Cancel => b"c",
            Self::OutputLimit => b"o",
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            b"g" => Ok(Self::Go),
            b"c" => Ok(Self::Cancel),
            b"o" => Ok(Self::OutputLimit),
            _ => Err(Malformed),
        }
    }
}

impl FromJail {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ended(end, usage) => {
                let (kind, number) = match end {
                    End::Exit(code) => (b'e', *code),
                    End::Signal(signal) => (b's', *signal),
                    End::TimedOut => (b't', 0),
                    End::Cancelled => (b'c', 0),
                    End::OutOfMemory => (b'm', 0),
                    End::CpuLimit => (b'p', 0),
                    End::OutputLimit => (b'o', 0),
                };
                let microseconds = u64::try_from(usage.cpu_time.as_micros()).unwrap_or(u64::MAX);
                [
                    &[b'e', kind][..],
                    &number.to_le_bytes(),
                    &microseconds.to_le_bytes(),
                    &usage.peak_memory_bytes.to_le_bytes(),
                ]
                .concat()
            }
            Self::Missing(reason) => with_text(b'm', reason),
            Self::Refused(reason) => with_text(b'r', reason),
            Self::Failed(step, errno) => [&[b'f', step.number()][..], &errno.to_le_bytes()].concat(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.split_first().ok_or(Malformed)? {
            (b'e', rest) => ended(rest),
            (b'm', rest) => Ok(Self::Missing(text(rest))),
            (b'r', rest) => Ok(Self::Refused(text(rest))),
            (b'f', [step, errno @ ..]) => {
                let errno = i32::from_le_bytes(errno.try_into().map_err(|_| Malformed)?);
                Ok(Self::Failed(Step::from_number(*step).ok_or(Malformed)?, errno))
            }
            _ => Err(Malformed),
        }
    }
}

fn ended(bytes: &[u8]) -> Result<FromJail, Malformed> {
    let (kind, rest) = bytes.split_first().ok_or(Malformed)?;
    let (number, rest) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    let (cpu, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
    let memory: [u8; 8] = rest.try_into().map_err(|_| Malformed)?;
    let number = i32::from_le_bytes(*number);
    let end = match (kind, number) {
        (b'e', code) => End::Exit(code),
        (b's', signal) => End::Signal(signal),
        (b't', 0) => End::TimedOut,
        (b'c', 0) => End::Cancelled,
        (b'm', 0) => End::OutOfMemory,
        (b'p', 0) => End::CpuLimit,
        (b'o', 0) => End::OutputLimit,
        _ => return Err(Malformed),
    };
    let usage = Usage {
        cpu_time: Duration::from_micros(u64::from_le_bytes(*cpu)),
        peak_memory_bytes: u64::from_le_bytes(memory),
        output_bytes: 0,
    };
    Ok(FromJail::Ended(end, usage))
}

/// A kind and a text that is cut where it would not fit.
fn with_text(kind: u8, text: &str) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(text.bytes().take(MAX_ANSWER_BYTES.saturating_sub(1)));
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn push_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn take_text(rest: &mut &[u8]) -> Result<String, Malformed> {
    let (length, behind) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed)?;
    let (text, behind) = behind.split_at_checked(length).ok_or(Malformed)?;
    *rest = behind;
    String::from_utf8(text.to_vec()).map_err(|_| Malformed)
}

/// Reads any bytes as each of the messages: what is read has one spelling, and texts are read again as they were.
///
/// # Panics
/// That does not hold.
#[cfg(any(test, feature = "fuzz"))]
#[cfg_attr(not(feature = "fuzz"), expect(unreachable_pub, reason = "it is shown to the fuzz target alone"))]
pub fn check_every_reading(bytes: &[u8]) {
    let same = |written: &[u8]| assert_eq!(written, bytes);
    if let Ok(order) = Order::decode(bytes) {
        same(&order.encode().unwrap_or_default());
    }
    if let Ok(word) = ToKeeper::decode(bytes) {
        same(word.encode());
    }
    if let Ok(word) = ToJail::decode(bytes) {
        same(word.encode());
    }
    match FromKeeper::decode(bytes) {
        Ok(FromKeeper::Failed(reason)) => check_text(&reason, bytes),
        Ok(message) => same(&message.encode()),
        Err(Malformed) => {}
    }
    match FromLauncher::decode(bytes) {
        Ok(FromLauncher::Failed(reason)) => check_text(&reason, bytes),
        Ok(message) => same(&message.encode()),
        Err(Malformed) => {}
    }
    match FromJail::decode(bytes) {
        Ok(FromJail::Missing(reason) | FromJail::Refused(reason)) => check_text(&reason, bytes),
        Ok(message) => same(&message.encode()),
        Err(Malformed) => {}
    }
}

/// A text behind a kind; what is not UTF-8 is replaced.
#[cfg(any(test, feature = "fuzz"))]
fn check_text(text: &str, bytes: &[u8]) {
    let (kind, rest) = bytes.split_first().unwrap_or((&0, &[]));
    assert_eq!(text, String::from_utf8_lossy(rest));
    let written = with_text(*kind, text);
    assert!(written.len() <= MAX_ANSWER_BYTES && written.starts_with(&[*kind]));
}

#[cfg(test)]
mod tests {
    use super::{FromJail, Order};
    use crate::child::Step;
    use crate::limits::{MAX_ARGUMENTS, MAX_MESSAGE_BYTES, MAX_SECRETS};
    use crate::outcome::{End, Usage};
    use crate::variable::Variable;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn an_order_comes_back_as_it_was(
            command in ".{0,80}",
            arguments in prop::collection::vec(".{0,40}", 0..20),
            secrets in prop::collection::vec(("[A-Z]{1,9}", ".{0,40}"), 0..=MAX_SECRETS),
            ms in 0..u64::MAX,
        ) {
            let secrets = secrets.into_iter().map(|(name, value)| Variable::new(name, value)).collect();
            let order = Order { command, arguments, secrets, time_limit: Duration::from_millis(ms) };
            let bytes = order.encode().expect("short");
            prop_assert_eq!(Order::decode(&bytes), Ok(order));
        }

        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            super::check_every_reading(&bytes);
        }
    }

    #[test]
    fn an_order_is_bounded() {
        let order = |count, length| Order {
            command: "c".into(),
            arguments: vec!["a".repeat(length); count],
            secrets: vec![],
            time_limit: Duration::ZERO,
        };
        let secrets = |count| Order { secrets: vec![Variable::new("A", "b"); count], ..order(1, 1) };
        assert!(secrets(MAX_SECRETS).encode().is_some());
        assert!(secrets(MAX_SECRETS + 1).encode().is_none());
        assert!(order(MAX_ARGUMENTS, 1).encode().is_some());
        assert!(order(MAX_ARGUMENTS + 1, 1).encode().is_none());
        assert!(order(1, MAX_MESSAGE_BYTES).encode().is_none());
        let long = [&order(MAX_ARGUMENTS, 1).encode().expect("short")[..], &[0; 4]].concat();
        assert!(Order::decode(&long).is_err(), "one argument too many");
    }

    #[test]
    fn every_end_comes_back_as_it_was() {
        let usage = Usage { cpu_time: Duration::from_micros(7), peak_memory_bytes: 8, output_bytes: 0 };
        let ends = [End::Exit(-1), End::Signal(9), End::TimedOut, End::Cancelled, End::CpuLimit];
        for end in ends.into_iter().chain([End::OutOfMemory, End::OutputLimit]) {
            let message = FromJail::Ended(end, usage);
            assert_eq!(FromJail::decode(&message.encode()), Ok(message));
        }
        for step in Step::ALL {
            let message = FromJail::Failed(step, 1);
            assert_eq!(FromJail::decode(&message.encode()), Ok(message));
        }
        for message in [FromJail::Missing("m".into()), FromJail::Refused("r".into())] {
            assert_eq!(FromJail::decode(&message.encode()), Ok(message));
        }
    }
}
