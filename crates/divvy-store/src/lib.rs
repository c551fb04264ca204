//! Where what was asked for is kept.
