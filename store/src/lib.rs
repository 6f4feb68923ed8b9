//! The strong-room: sled, packs, content-addressed chunks, reference counts.
