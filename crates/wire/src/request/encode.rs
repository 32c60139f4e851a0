//! Requests as frames: the keys of each type, and no others.

use std::borrow::Cow;

use super::{Action, Delivery, History, Numbers, Request, Target};
use crate::reply::push_key;
use crate::text::push_string;

impl Request<'_> {
    /// The JSON frame that asks for this.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        match &self.action {
            Action::Os { command_name, parameters, stdin, delivery } => {
                out.extend_from_slice(br#"{"command_type":"os","command_name":"#);
                push_string(&mut out, command_name);
                out.extend_from_slice(br#","parameters":"#);
                push_strings(&mut out, parameters);
                if let Some(stdin) = stdin {
                    out.extend_from_slice(br#","stdin":"#);
                    push_string(&mut out, stdin);
                }
                match delivery {
                    Delivery::Whole => {}
                    Delivery::Stream => out.extend_from_slice(br#","stream":true"#),
                    Delivery::Detached => out.extend_from_slice(br#","detach":true"#),
                }
            }
            Action::Compute { expression, variables, columns, numbers } => {
                out.extend_from_slice(br#"{"command_type":"compute","expression":"#);
                push_string(&mut out, expression);
                if !variables.is_empty() {
                    out.extend_from_slice(br#","variables":{"#);
                    for (index, variable) in variables.iter().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        push_string(&mut out, &variable.name);
                        out.push(b':');
                        out.extend_from_slice(variable.json.as_bytes());
                    }
                    out.push(b'}');
                }
                if !columns.is_empty() {
                    out.extend_from_slice(br#","columns":"#);
                    push_strings(&mut out, columns);
                }
                if *numbers == Numbers::Strict {
                    out.extend_from_slice(br#","numbers":"strict""#);
                }
            }
            Action::Describe => out.extend_from_slice(br#"{"command_type":"describe""#),
            Action::Jobs => out.extend_from_slice(br#"{"command_type":"jobs""#),
            Action::Status { job } => {
                out.extend_from_slice(br#"{"command_type":"status","job":"#);
                push_string(&mut out, job);
            }
            Action::Result { job, stream } => {
                out.extend_from_slice(br#"{"command_type":"result","job":"#);
                push_string(&mut out, job);
                if *stream {
                    out.extend_from_slice(br#","stream":true"#);
                }
            }
            Action::Cancel(target) => {
                let (key, name) = match target {
                    Target::Job(job) => ("job", &**job),
                    Target::Request(id) => ("request_id", id.as_str()),
                };
                out.extend_from_slice(br#"{"command_type":"cancel""#);
                push_key(&mut out, key);
                push_string(&mut out, name);
            }
            Action::Metrics => out.extend_from_slice(br#"{"command_type":"metrics""#),
            Action::History(history) => push_history(&mut out, history),
        }
        if let Some(id) = &self.id {
            out.extend_from_slice(br#","id":"#);
            push_string(&mut out, id.as_str());
        }
        if let Some(timeout) = self.timeout {
            out.extend_from_slice(format!(",\"timeout\":{}", timeout.as_secs_f64()).as_bytes());
        }
        out.push(b'}');
        out
    }
}

fn push_history(out: &mut Vec<u8>, history: &History<'_>) {
    out.extend_from_slice(br#"{"command_type":"history""#);
    if let Some(user) = &history.user {
        out.extend_from_slice(br#","user":"#);
        push_string(out, user);
    }
    if let Some(command) = &history.command_name {
        out.extend_from_slice(br#","command_name":"#);
        push_string(out, command);
    }
    if let Some(since) = history.since {
        out.extend_from_slice(format!(",\"since\":{}", since.as_secs_f64()).as_bytes());
    }
    if history.failed {
        out.extend_from_slice(br#","failed":true"#);
    }
}

fn push_strings(out: &mut Vec<u8>, texts: &[Cow<'_, str>]) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(out, text);
    }
    out.push(b']');
}
