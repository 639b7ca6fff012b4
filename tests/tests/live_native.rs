//! Live: stacks of native and Python frames, merged, are exactly what the programs say.

use tests::folded::{Frame, Stack};
use tests::live::alone;
use tests::native::modules::{CYNEST, INLINES, PBNEST};
use tests::native::{Program, check};
use tests::profiler::Recording;
use tests::python;
use tests::workload::{Workload, script};

#[test]
fn c_functions_that_call_back_into_python_stand_where_they_were_called() {
    check(&[Program::new("nested")]);
}

#[test]
fn python_called_by_the_standard_library_stands_above_what_called_it() {
    check(&[Program::new("called_back")]);
}

#[test]
fn modules_of_cython_pybind11_and_cpp_with_inlines_have_their_exact_stack() {
    check(&[Program::new("extensions").modules(&[CYNEST, PBNEST, INLINES])]);
}

#[test]
fn work_inside_of_libraries_stands_above_the_python_frame_that_asked_for_it() {
    check(&[Program::new("libraries").package("numpy")]);
}

#[test]
fn kernel_frames_stand_above_the_python_frame_that_called_the_kernel() {
    let _alone = alone();
    for option in ["--kernel", "--native"] {
        let python = python::newest();
        let mut workload =
            Workload::start(python, &script("kernel_time"), &["1"]).expect("the program starts");
        let recording = Recording::start([option, "-p", &workload.pid().to_string()]).expect("it records");
        workload.release().expect("the program waits");
        workload.finish().expect("the program ends");
        let recorded = recording.stop().expect("a recording");
        let called = |stack: &Stack| {
            let function = stack
                .frames
                .iter()
                .position(|frame| frame.name == "ask_the_kernel");
            let above = function.map_or(&[][..], |at| &stack.frames[at + 1..]);
            above
                .iter()
                .any(|frame| frame.file.as_deref() == Some("[kernel]"))
        };
        let inside = recorded.stacks.count(called);
        // Filling a megabyte is all that this program does.
        assert!(
            inside * 10 >= recorded.stacks.total() * 7 && inside > 40,
            "{option}: {inside} of {}: {}",
            recorded.stacks.total(),
            recorded.stacks.most_frequent(5)
        );
        let is_native = |frame: &Frame| {
            let file = frame.file.as_deref().unwrap_or(".py");
            !file.ends_with(".py") && !file.starts_with('[') && !file.starts_with('<')
        };
        let native = recorded.stacks.count(|stack| stack.frames.iter().any(is_native));
        assert_eq!(
            option == "--native",
            native > 0,
            "{}",
            recorded.stacks.most_frequent(5)
        );
    }
}
