//! Containers that segments are written in.

pub mod mpegts;
