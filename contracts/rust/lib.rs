//! Contract bindings.
