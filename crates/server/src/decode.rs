//! Third stage: what is asked? The closed schema is `wire`'s; here its verdict becomes a stage of the way, and the
//! frames after the first become the columns that the request names.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use wire::limits::MAX_COLUMN_BYTES;
use wire::{Action, Delivery, ErrorCode, Request, decode_request};

use crate::entry::Entry;
use crate::pace::Paced;
use crate::policy::User;
use crate::refusal::Refusal;

/// A request whose sender and meaning are known.
pub(crate) struct Decoded<'f> {
    user: Arc<User>,
    request: Request<'f>,
    columns: Vec<Column<'f>>,
}

/// A named frame of little-endian doubles, still as bytes.
pub(crate) struct Column<'f> {
    pub(crate) name: Cow<'f, str>,
    pub(crate) bytes: &'f Bytes,
}

impl<'f> Decoded<'f> {
    pub(crate) fn into_parts(self) -> (Arc<User>, Request<'f>, Vec<Column<'f>>) {
        (self.user, self.request, self.columns)
    }
}

/// Reads the request, or says which key of it is wrong.
pub(crate) fn decode<'f>(paced: Paced<'f>, entry: &mut Entry) -> Result<Decoded<'f>, Refusal> {
    let (user, frame) = paced.into_parts();
    let Some(body) = &frame.body else {
        return Err(Refusal::open(
            ErrorCode::InvalidRequest,
            "a request is one frame and the columns that it names",
        ));
    };
    match decode_request(body) {
        Ok(mut request) => {
            entry.asked.decoded(&request.action);
            entry.id.clone_from(&request.id);
            if wants_events(&request.action) && !frame.peer.may_stream() {
                let message = "`stream` needs a DEALER: a REQ takes one message for a request";
                return Err(Refusal::open(ErrorCode::InvalidRequest, message));
            }
            let columns = columns(&mut request, &frame.attachments)?;
            Ok(Decoded { user, request, columns })
        }
        Err(error) => {
            entry.id = error.id;
            Err(Refusal::open(error.code, error.message))
        }
    }
}

fn wants_events(action: &Action<'_>) -> bool {
    matches!(action, Action::Os { delivery: Delivery::Stream, .. } | Action::Result { stream: true, .. })
}

fn columns<'f>(request: &mut Request<'f>, frames: &'f [Bytes]) -> Result<Vec<Column<'f>>, Refusal> {
    let names = match &mut request.action {
        Action::Compute { columns, .. } => std::mem::take(columns),
        Action::Os { .. }
        | Action::Describe
        | Action::Jobs
        | Action::Status { .. }
        | Action::Result { .. }
        | Action::Cancel(_)
        | Action::Metrics
        | Action::History(_) => Vec::new(),
    };
    if names.len() != frames.len() {
        let (frames, names) = (frames.len(), names.len());
        let message = format!("frames behind the request: {frames}; columns that it names: {names}");
        return Err(Refusal::open(ErrorCode::InvalidRequest, message));
    }
    if frames.iter().map(Bytes::len).sum::<usize>() > MAX_COLUMN_BYTES {
        let message = format!("the columns have more than {MAX_COLUMN_BYTES} bytes");
        return Err(Refusal::open(ErrorCode::LimitExceeded, message));
    }
    if !frames.iter().all(|frame| frame.len().is_multiple_of(size_of::<f64>())) {
        return Err(Refusal::open(
            ErrorCode::InvalidRequest,
            "a column is a frame of doubles of 8 bytes each",
        ));
    }
    Ok(names.into_iter().zip(frames).map(|(name, bytes)| Column { name, bytes }).collect())
}
