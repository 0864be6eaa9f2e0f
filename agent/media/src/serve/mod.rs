//! What viewers connect to.

pub mod http;
