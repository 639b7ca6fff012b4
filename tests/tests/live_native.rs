//! Live: stacks of native and Python frames, merged, are exactly what the programs say.

use tests::native::modules::{CYNEST, INLINES, PBNEST};
use tests::native::{Program, check};

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
