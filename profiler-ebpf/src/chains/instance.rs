//! The macro that makes an instance of the stages; used once in each of the files beside this one.

/// An instance: its maps, its programs, its global functions. A global function is verified by the kernel once, for any
/// arguments, instead of at each of its calls; therefore it has only numbers as arguments and looks up everything itself.
macro_rules! chain {
    (
        $(#[$doc:meta])*
        $chain:ident: $attribute:ident($context:ty) -> $status:ty;
        type: $type:ident, losses: $losses:ident;
        maps: $scratch:ident, $block:ident, $definition:ident, $native_scratch:ident, $native_block:ident,
            $kernel_stack:ident, $stages:ident;
        programs: $walk_python:ident, $define_code:ident, $start_native:ident, $walk_native:ident;
        functions: $walk_python_stretch:ident, $define_frame:ident, $unwind_stretch:ident;
        interrupted: $interrupted:expr;
    ) => {
        #[map]
        static $scratch: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
        #[map]
        static $block: PerCpuArray<SampleBlock> = PerCpuArray::with_max_entries(1, 0);
        #[map]
        static $definition: PerCpuArray<CodeDefinition> = PerCpuArray::with_max_entries(1, 0);
        #[map]
        static $native_scratch: PerCpuArray<NativeScratch> = PerCpuArray::with_max_entries(1, 0);
        #[map]
        static $native_block: PerCpuArray<NativeBlock> = PerCpuArray::with_max_entries(1, 0);
        #[map]
        static $kernel_stack: PerCpuArray<KernelStack> = PerCpuArray::with_max_entries(1, 0);
        #[map]
        static $stages: ProgramArray = ProgramArray::with_max_entries(Stage::ALL.len() as u32, 0);

        $(#[$doc])*
        pub(crate) struct $chain;

        impl Chain for $chain {
            type Context = $context;

            const LOSSES: LossWriter = LossWriter::$losses;

            #[inline(always)]
            fn scratch() -> &'static PerCpuArray<Scratch> {
                &$scratch
            }
            #[inline(always)]
            fn block() -> &'static PerCpuArray<SampleBlock> {
                &$block
            }
            #[inline(always)]
            fn definition() -> &'static PerCpuArray<CodeDefinition> {
                &$definition
            }
            #[inline(always)]
            fn native_scratch() -> &'static PerCpuArray<NativeScratch> {
                &$native_scratch
            }
            #[inline(always)]
            fn native_block() -> &'static PerCpuArray<NativeBlock> {
                &$native_block
            }
            #[inline(always)]
            fn kernel_stack() -> &'static PerCpuArray<KernelStack> {
                &$kernel_stack
            }
            #[inline(always)]
            fn stages() -> &'static ProgramArray {
                &$stages
            }
            #[inline(always)]
            fn walk_python_stretch(layout: u32, first: u32) -> u32 {
                $walk_python_stretch(layout, first)
            }
            #[inline(always)]
            fn define_frame(layout: u32, index: u32) -> u32 {
                $define_frame(layout, index)
            }
            #[inline(always)]
            fn unwind_stretch(first: u32) -> u32 {
                $unwind_stretch(first)
            }
            #[inline(always)]
            fn interrupted(context: &$context) -> Interrupted {
                $interrupted(context)
            }
        }

        #[$attribute]
        pub(crate) fn $walk_python(context: $context) -> $status {
            stages::walk_python::run::<$chain>(&context);
            0
        }

        #[$attribute]
        pub(crate) fn $define_code(context: $context) -> $status {
            stages::define_code::run::<$chain>(&context);
            0
        }

        #[$attribute]
        pub(crate) fn $start_native(context: $context) -> $status {
            stages::start_native::run::<$chain>(&context);
            0
        }

        #[$attribute]
        pub(crate) fn $walk_native(context: $context) -> $status {
            stages::walk_native::run::<$chain>(&context);
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $walk_python_stretch(layout: u32, first: u32) -> u32 {
            stages::walk_python::stretch::<$chain>(layout, first)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $define_frame(layout: u32, index: u32) -> u32 {
            stages::define_code::frame::<$chain>(layout, index)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $unwind_stretch(first: u32) -> u32 {
            stages::walk_native::stretch::<$chain>(first)
        }

        // User space finds them by these names.
        const _: () = {
            let program_type = ProgramType::$type;
            assert!(is_same(program_type.stages_map(), stringify!($stages)));
            assert!(is_same(Stage::WalkPython.program(program_type), stringify!($walk_python)));
            assert!(is_same(Stage::DefineCode.program(program_type), stringify!($define_code)));
            assert!(is_same(Stage::StartNative.program(program_type), stringify!($start_native)));
            assert!(is_same(Stage::WalkNative.program(program_type), stringify!($walk_native)));
        };
    };
}
pub(super) use chain;
