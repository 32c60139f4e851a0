//! Events: what a streaming client hears of a command before its reply. Each is a message of two frames, this header as
//! JSON and the bytes themselves.

use std::borrow::Cow;

use serde::Deserialize;

use crate::reply::{push_number, push_text};
use crate::text::Text;

/// The header of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The id that the client gave the request.
    pub id: Option<Cow<'a, str>>,
    /// The job that this is about.
    pub job: Cow<'a, str>,
    /// What has happened.
    pub kind: EventKind,
    /// The number of this event among those of its request, from 0.
    pub sequence: u64,
}

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The command has been started, or was when the client came to it. No bytes.
    Started,
    /// The command has printed.
    Printed {
        /// To which stream.
        stream: Stream,
        /// The place of the first of these bytes in its stream.
        offset: u64,
    },
}

/// An output stream of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

const STARTED: &str = "started";

impl Event<'_> {
    /// The JSON frame that says this.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.push(b'{');
        let (event, offset) = match self.kind {
            EventKind::Started => (STARTED, None),
            EventKind::Printed { stream, offset } => (stream.as_str(), Some(offset)),
        };
        out.extend_from_slice(br#""event":""#);
        out.extend_from_slice(event.as_bytes());
        out.push(b'"');
        if let Some(id) = &self.id {
            push_text(&mut out, "id", id);
        }
        push_text(&mut out, "job", &self.job);
        push_number(&mut out, "seq", self.sequence);
        if let Some(offset) = offset {
            push_number(&mut out, "offset", offset);
        }
        out.push(b'}');
        out
    }

    /// Reads the header of an event; nothing where the frame is something else, such as a reply.
    pub fn decode(frame: &[u8]) -> Option<Event<'_>> {
        let keys: Keys<'_> = serde_json::from_slice(frame).ok()?;
        let kind = match keys.event.0.as_ref() {
            STARTED => EventKind::Started,
            "stdout" => EventKind::Printed { stream: Stream::Stdout, offset: keys.offset? },
            "stderr" => EventKind::Printed { stream: Stream::Stderr, offset: keys.offset? },
            _ => return None,
        };
        let id = keys.id.map(|text| text.0);
        Some(Event { id, job: keys.job.0, kind, sequence: keys.seq })
    }
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    job: Text<'a>,
    seq: u64,
    offset: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::{Event, EventKind, Stream};

    #[test]
    fn an_event_comes_back_as_it_was() {
        let printed = |stream| EventKind::Printed { stream, offset: 7 };
        let kinds = [EventKind::Started, printed(Stream::Stdout), printed(Stream::Stderr)];
        for (kind, id) in kinds.into_iter().zip([None, Some("a"), Some("b")]) {
            let event = Event { id: id.map(Into::into), job: "1-2".into(), kind, sequence: 3 };
            assert_eq!(Event::decode(&event.encode()), Some(event.clone()));
        }
        let event =
            Event { id: Some("a".into()), job: "1-2".into(), kind: printed(Stream::Stdout), sequence: 3 };
        let json = r#"{"event":"stdout","id":"a","job":"1-2","seq":3,"offset":7}"#;
        assert_eq!(String::from_utf8(event.encode()).expect("UTF-8"), json);
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        for frame in [
            &b"{\"status\":\"success\",\"result\":1,\"type\":\"int\"}"[..],
            b"",
            b"{\"event\":\"x\",\"job\":\"1\",\"seq\":0}",
        ] {
            assert_eq!(Event::decode(frame), None);
        }
    }
}
