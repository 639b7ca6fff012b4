//! The Python walker: one implementation for the kernel, a live process and a recorded snapshot.
//!
//! Written for the strictest reader, the BPF verifier: loops have constant bounds, everything carried from one
//! iteration to the next lives in [`Scratch`] (map memory in the kernel, so that the verifier forgets its value and
//! the iterations look alike), structures are read whole into fixed buffers, indexes are masked.

mod class;
mod code;
mod frames;
mod generation;
mod gil;
mod interpreter;
mod thread_state;

pub use class::capture_class;
pub use code::{capture, identity};
pub use frames::{CodeSeen, FRAMES_PER_STRETCH, begin_block, walk_block, walk_stretch};
pub use gil::{gil, is_at_gil};
pub use interpreter::{UNREADABLE_INTERPRETER, interpreter_id};
pub use thread_state::locate;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::contract::records::FRAMES_PER_BLOCK;
use crate::memory::RemoteAddr;

/// Words of the buffer that frames are read into (8 KiB): the copy of a data-stack chunk, then one frame that lies
/// outside of it.
pub const BUFFER_WORDS: usize = 1024;
/// Words of a thread state that can be read.
pub const THREAD_STATE_WORDS: usize = 64;
/// Words of a frame that can be read.
pub const FRAME_WORDS: usize = 16;
/// Words of the copy of a data-stack chunk.
pub const WINDOW_WORDS: usize = BUFFER_WORDS - FRAME_WORDS;

/// Working memory of one walk. 9 KiB: a per-CPU map value in the kernel.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Scratch {
    /// Frame to read next; 0 when the walk is over.
    pub cursor: RemoteAddr,
    /// Target address of the first byte of the copied data stack.
    pub window_start: RemoteAddr,
    /// Words of the data stack, copied to the start of `frames`, at which a whole frame can begin; 0 when nothing was.
    pub window_slots: u64,
    /// Address of the thread state.
    pub thread_state: RemoteAddr,
    /// Where the caller's frames begin, until the newest invocation of the evaluation loop is known to be set up; then
    /// null (see `thread_state::follow_cframe`).
    pub outer: RemoteAddr,
    /// Slots at the start of this block, and all earlier blocks if not 0, that hold no frames of the stack.
    pub void: u32,
    /// 1: what the frames array holds from the block before has been asked about in the same [`CodeSeen`].
    pub steady: u32,
    /// Tells one [`CodeSeen`] from another; kept by the caller from one sample to the next.
    pub seen_salt: u64,
    /// The same of this sample's.
    pub salt: u64,
    /// When the sample began, for benchmarks.
    pub started_ns: u64,
    /// Address of the `PyInterpreterState` that the thread runs in.
    pub interpreter: RemoteAddr,
    /// Its id, see [`interpreter_id`].
    pub interpreter_id: u64,
    /// Stands for the interpreter and the code objects that have died in it so far: while it is the same, a code object at
    /// the same address is the same. 0 where that is not known.
    pub generation: u64,
    /// What the caller makes of it: see [`CodeSeen`]. 0 as well.
    pub context: u64,
    /// The context in which the frames array was filled; kept by the caller from one block to the next.
    pub frames_context: u64,
    /// Code objects of this block whose identity was read.
    pub identified: u32,
    /// 1: `frames_context` is `context`, and not 0.
    pub fresh: u32,
    /// Code objects of this block that need a definition.
    pub unseen: u32,
    /// A [`crate::contract::reasons::StackStatus`] code.
    pub status: u16,
    /// A [`crate::contract::reasons::GilState`] code.
    pub gil: u16,
    /// `ThreadLookup::code_type`.
    pub code_type: u64,
    /// 1 while the thread collects garbage.
    pub collecting: u32,
    /// 1 while the thread runs just-in-time compiled code that does not keep its instruction offset up to date.
    pub compiled: u32,
    /// Always 0, which only the memory knows: what is added to it becomes a number that the kernel's verifier knows nothing
    /// of, so that paths which differ in it alone are looked at once. Never write to it.
    pub zero: u64,
    /// Bit `n`: the frame at `n` of this block says that it is the outermost one of its invocation of the evaluation
    /// loop (3.11).
    pub entries: u64,
    /// Address of each frame of the block.
    pub origins: [u64; FRAMES_PER_BLOCK],
    /// The identity range of the code object being read.
    pub identity: [u64; crate::contract::layout::IDENTITY_BUFFER_WORDS],
    /// The thread state.
    pub state: [u64; THREAD_STATE_WORDS],
    /// Part of the data-stack chunk that holds the newest frames ([`WINDOW_WORDS`]), then the frame being read when it
    /// lies elsewhere ([`FRAME_WORDS`]). One buffer, so that both are decoded by the same instructions.
    pub frames: [u64; BUFFER_WORDS],
}

impl Scratch {
    /// All zero.
    pub const EMPTY: Self = zerocopy::transmute!([0u8; size_of::<Self>()]);
}
