//! Evaluates Python arithmetic.
#![forbid(unsafe_code)]
