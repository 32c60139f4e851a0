//! What the log will say of a request, gathered while it goes its way, so that a refusal at any stage leaves as much
//! in the log as was known by then.

use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use transport::{Frame, Sender};
use wire::json::StrictJson;
use wire::{Action, RequestId, decode_request};

use crate::limits::{MAX_LOGGED_EXCERPT_BYTES, MAX_LOGGED_REFUSAL_BYTES};
use crate::log::Line;
use crate::policy::{CONCEALED, Policy, User};

/// The notes on one request.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) frame: Rc<Frame>,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) id: Option<RequestId>,
    pub(crate) asked: Asked,
    pub(crate) job: Option<Rc<str>>,
    /// There was room for it: what it came to is more than a refusal.
    pub(crate) admitted: bool,
}

/// The request itself, as far as it was understood and as far as people may read it. Where the policy has secrets, nothing
/// is shown of what may be one.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Bytes that are not JSON, or not one frame, under a policy without secrets.
    Bytes,
    /// The same under one that has secrets, any of which they may hold.
    Withheld,
    /// A JSON object, known to be well formed.
    Json,
    /// A request for a command, of which nobody knows what in it is secret.
    Concealed,
    /// A request for a command, of which this may be shown.
    Redacted(Rc<Shown>),
}

/// What may be shown of a request for a command with secrets.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) parameters: Vec<String>,
    pub(crate) stdin: Stdin,
}

/// The standard input of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    Shown,
    Concealed,
}

impl Asked {
    /// It is a request for this.
    pub(crate) fn decoded(&mut self, action: &Action<'_>) {
        *self = match (&self, action) {
            (Self::Withheld, Action::Os { .. }) => Self::Concealed,
            _ => Self::Json,
        };
    }
}

impl Entry {
    pub(crate) fn new(frame: Rc<Frame>, policy: &Policy) -> Self {
        let asked = if policy.has_secrets() { Asked::Withheld } else { Asked::Bytes };
        Self { frame, user: None, id: None, asked, job: None, admitted: false }
    }

    /// Writes who asked for what.
    pub(crate) fn write(&self, line: &mut Line<'_>) {
        if let Some(user) = &self.user {
            line.text("user", &user.name);
        }
        let peer = &self.frame.peer;
        match peer.sender() {
            Sender::Local => {}
            Sender::Key(key) => {
                line.word("key", &key);
                line.text("listener", peer.listener());
            }
            Sender::Account(account) => {
                line.number("uid", u64::from(account.uid));
                if let Some(pid) = account.pid {
                    line.number("pid", u64::from(pid));
                }
                line.text("listener", peer.listener());
            }
        }
        if let Some(address) = peer.address() {
            line.word("peer", &address);
        }
        let Some(body) = self.frame.body.as_deref() else { return };
        if !self.admitted && body.len() > MAX_LOGGED_REFUSAL_BYTES {
            self.write_excerpt(line, body);
            return;
        }
        match &self.asked {
            Asked::Json => line.json("request", &StrictJson::respelled(body)),
            Asked::Concealed => line.json("request", &StrictJson::respelled(&redacted(body, None))),
            Asked::Redacted(shown) => {
                line.json("request", &StrictJson::respelled(&redacted(body, Some(shown))));
            }
            Asked::Withheld => line.number("request_bytes", body.len() as u64),
            Asked::Bytes => self.write_excerpt(line, body),
        }
    }

    /// Writes what is worth keeping of a request that nothing was done for. Where it may hold secrets that is its length alone,
    /// because short ones are found by their hash.
    fn write_excerpt(&self, line: &mut Line<'_>, body: &[u8]) {
        line.number("request_bytes", body.len() as u64);
        match self.asked {
            Asked::Bytes | Asked::Json => {
                let excerpt = body.get(..MAX_LOGGED_EXCERPT_BYTES).unwrap_or(body);
                line.text("request_text", &String::from_utf8_lossy(excerpt));
                if excerpt.len() < body.len() {
                    line.hex("body_sha256", &Sha256::digest(body));
                }
            }
            Asked::Withheld | Asked::Concealed | Asked::Redacted(_) => {}
        }
    }
}

/// A request for a command with what may be shown of it; with nothing of its parameters where nobody knows.
fn redacted(body: &[u8], shown: Option<&Shown>) -> Vec<u8> {
    // It was decoded before, or it would not be written so.
    let Ok(mut request) = decode_request(body) else { return b"null".to_vec() };
    if let Action::Os { parameters, stdin, .. } = &mut request.action {
        *parameters = match shown {
            Some(shown) => shown.parameters.iter().map(|parameter| parameter.as_str().into()).collect(),
            None => vec![CONCEALED.into(); parameters.len()],
        };
        if let Some(stdin) = stdin
            && shown.is_none_or(|shown| shown.stdin == Stdin::Concealed)
        {
            *stdin = CONCEALED.into();
        }
    }
    request.encode()
}
