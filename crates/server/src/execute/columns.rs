//! Evaluating an expression over columns, always on a worker thread. Columns that came as frames give a frame, columns
//! that came as JSON lists give a JSON list.

use std::future::ready;

use bytes::Bytes;
use calc::{Budget, Columns, Value, Variables};
use sha2::{Digest as _, Sha256};
use wire::Numbers;

use super::spelling::{refusal, spelled};
use super::worker::on_worker;
use crate::admit::ColumnRoom;
use crate::authorise::Computation;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

const DOUBLE_BYTES: usize = size_of::<f64>();

/// A column of the request with its name.
pub(super) type Named = (String, Vec<f64>);

pub(super) async fn evaluate(
    computation: Computation<'_>,
    scalars: Variables,
    lists: Vec<Named>,
    service: &Service,
    user: &str,
) -> Result<Outcome, Refusal> {
    let frames: Vec<(String, Bytes)> = computation
        .columns
        .into_iter()
        .map(|column| (column.name.into_owned(), column.bytes.clone()))
        .collect();
    let room = service.gate.room_for_columns(user, frames.iter().map(|(_, bytes)| bytes.len()).sum())?;
    let expression = computation.expression.into_owned();
    let numbers = computation.numbers;
    let work = move |()| {
        let wants_frame = !frames.is_empty();
        let decoded = frames.into_iter().map(|(name, bytes)| (name, doubles(&bytes)));
        let named: Vec<Named> = lists.into_iter().chain(decoded).collect();
        let mut columns = Columns::new();
        for (name, values) in &named {
            columns.insert(name, values).map_err(|error| refusal(&error))?;
        }
        let values = calc::evaluate_columns(&expression, &scalars, &columns, &mut Budget::columns())
            .map_err(|error| refusal(&error))?;
        if wants_frame { Ok(as_frame(&values, room)) } else { as_list(&values, numbers) }
    };
    on_worker(service, user, computation.timeout, ready(Ok(())), work).await
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    let (doubles, _) = bytes.as_chunks::<DOUBLE_BYTES>();
    doubles.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// A column on its way to the client, which takes its room until it has left.
struct Sent {
    bytes: Vec<u8>,
    _room: ColumnRoom,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn as_frame(values: &[f64], room: ColumnRoom) -> Outcome {
    let mut bytes = vec![0; size_of_val(values)];
    let (doubles, _) = bytes.as_chunks_mut::<DOUBLE_BYTES>();
    for (double, value) in doubles.iter_mut().zip(values) {
        *double = value.to_le_bytes();
    }
    let sha256 = Sha256::digest(&bytes).into();
    Outcome::Column {
        rows: values.len() as u64,
        bytes: Bytes::from_owner(Sent { bytes, _room: room }),
        sha256,
    }
}

fn as_list(values: &[f64], numbers: Numbers) -> Result<Outcome, Refusal> {
    spelled(&Value::List(values.iter().copied().map(Value::Float).collect()), numbers)
}
