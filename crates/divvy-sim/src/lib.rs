//! A believable machine room.
