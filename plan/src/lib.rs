//! Model, batch and device profile to buffers, arena, FLOPs and bytes. Pure.
