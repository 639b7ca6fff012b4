//! From the bytes of the rings to whole samples. Touches neither `/proc` nor BPF.

pub mod assembly;
pub mod decode;
