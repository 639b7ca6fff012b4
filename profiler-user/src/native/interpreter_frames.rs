//! Which native frames are how CPython runs Python, and not what Python asked for: hidden unless `--native-all`.
//!
//! Used where merged stacks are named. Between `f` and the `g` it calls there are up to ten C functions that only find out
//! what is called and how; `list_sort` or `gc_collect_main` in the same place says something, and stays. What is shown of a
//! library other than the interpreter is not decided here, but for the few functions with which threads begin.
//!
//! Names: CPython 2.7 to 3.15, of the symbol tables of builds that have them; glibc; musl.

/// One native frame, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningCode<'a> {
    /// The function, as the file spells it: suffixes such as `.constprop.0` are ignored. `None` where nothing names it.
    pub symbol: Option<&'a str>,
    /// Whether its file is the one with the interpreter.
    pub is_in_interpreter: bool,
    /// Whether it is the evaluation loop, whatever its name.
    pub is_evaluation_loop: bool,
}

impl RunningCode<'_> {
    /// Whether the frame only serves to run Python. What the interpreter's file does not name is taken for that: such a
    /// frame would show a number.
    #[must_use]
    pub fn is_plumbing(&self) -> bool {
        if self.is_evaluation_loop {
            return true;
        }
        let Some(symbol) = self.symbol else {
            return self.is_in_interpreter;
        };
        // CPython's own trampolines for `perf` (3.12+), in no file: the Python frame is there anyway.
        if symbol.starts_with("py::") {
            return true;
        }
        let name = without_suffix(symbol);
        if STARTS.binary_search(&name).is_ok() {
            return true;
        }
        self.is_in_interpreter
            && (PLUMBING.binary_search(&name).is_ok()
                || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    }
}

/// Without what compilers (`.constprop.0`, `.cold`, `.llvm.123`) and linkers (`@@GLIBC_2.34`) append.
fn without_suffix(symbol: &str) -> &str {
    let end = symbol.find(['.', '@']).filter(|&end| end > 0);
    end.map_or(symbol, |end| &symbol[..end])
}

/// Where programs and threads begin, in whatever file. Sorted.
const STARTS: &[&str] = &[
    "__clone",
    "__clone3",
    "__clone_internal",
    "__libc_start_call_main",
    "__libc_start_main",
    "__libc_start_main_alias_1",
    "__libc_start_main_alias_2",
    "__libc_start_main_impl",
    "_start",
    "_start_c",
    "clone",
    "clone3",
    "libc_start_main_stage2",
    "main",
    "start_c11",
    "start_thread",
];

/// Functions of the interpreter. Sorted.
const PLUMBING: &[&str] = &[
    "PyEval_EvalCode",
    "PyEval_EvalCodeEx",
    "PyEval_EvalFrame",
    "PyEval_EvalFrameEx",
    "PyImport_ImportModuleLevel",
    "PyImport_ImportModuleLevelObject",
    "PyIter_Next",
    "PyIter_NextItem",
    "PyIter_Send",
    "PyObject_Call",
    "PyObject_CallNoArgs",
    "PyObject_CallObject",
    "PyObject_CallOneArg",
    "Py_BytesMain",
    "Py_Main",
    "Py_RunMain",
    "RunMainFromImporter",
    "RunModule",
    "_PyCFunction_FastCallDict",
    "_PyCFunction_FastCallKeywords",
    "_PyErr_CheckSignals",
    "_PyErr_CheckSignalsTstate",
    "_PyEvalFrameClearAndPop",
    "_PyEvalFramePushAndInit",
    "_PyEvalFramePushAndInit_Ex",
    "_PyEval_EvalCode",
    "_PyEval_EvalCodeWithName",
    "_PyEval_EvalFrame",
    "_PyEval_EvalFrameDefault",
    "_PyEval_FrameClearAndPop",
    "_PyEval_Vector",
    "_PyFrame_Clear",
    "_PyFrame_ClearExceptCode",
    "_PyFunction_FastCall",
    "_PyFunction_FastCallDict",
    "_PyFunction_FastCallKeywords",
    "_PyFunction_Vectorcall",
    "_PyGen_Send",
    "_PyMethodDef_RawFastCallDict",
    "_PyMethodDef_RawFastCallKeywords",
    "_PyMethodDescr_FastCallKeywords",
    "_PyObject_Call",
    "_PyObject_Call_Prepend",
    "_PyObject_MakeTpCall",
    "_PyThreadState_PopFrame",
    "_PyThreadState_PushFrame",
    "_Py_HandlePending",
    "_Py_UnixMain",
    "_gen_throw",
    "builtin___import__",
    "call_function",
    "call_function_tail",
    "call_maybe",
    "call_method",
    "call_trace",
    "call_trace_protected",
    "call_trampoline",
    "callmethod",
    "classmethoddescr_call",
    "clear_gen_frame",
    "clear_thread_frame",
    "do_call",
    "do_call_core",
    "eval_frame_handle_pending",
    "exec_code_in_module",
    "exec_statement",
    "ext_do_call",
    "fast_function",
    "function_call",
    "function_code_fastcall",
    "gen_iternext",
    "gen_send",
    "gen_send_ex",
    "gen_send_ex2",
    "gen_throw",
    "handle_signals",
    "import_find_and_load",
    "import_name",
    "initialize_locals",
    "instance_call",
    "instancemethod_call",
    "make_pending_calls",
    "method_call",
    "methoddescr_call",
    "object_vacall",
    "profile_trampoline",
    "py_trampoline_evaluator",
    "run_eval_code_obj",
    "run_mod",
    "t_bootstrap",
    "thread_run",
    "trace_call_function",
    "trace_trampoline",
    "type_call",
    "vectorcall_maybe",
    "vectorcall_method",
    "wrap_binaryfunc",
    "wrap_binaryfunc_l",
    "wrap_binaryfunc_r",
    "wrap_call",
    "wrap_del",
    "wrap_delattr",
    "wrap_delitem",
    "wrap_descr_delete",
    "wrap_descr_get",
    "wrap_descr_set",
    "wrap_hashfunc",
    "wrap_indexargfunc",
    "wrap_init",
    "wrap_inquirypred",
    "wrap_lenfunc",
    "wrap_next",
    "wrap_objobjargproc",
    "wrap_objobjproc",
    "wrap_setattr",
    "wrap_sq_delitem",
    "wrap_sq_item",
    "wrap_sq_setitem",
    "wrap_ternaryfunc",
    "wrap_ternaryfunc_r",
    "wrap_unaryfunc",
    "wrapper_call",
    "wrapperdescr_call",
    "wrapperdescr_raw_call",
];

/// The same, whatever follows.
const PREFIXES: &[&str] = &[
    // `PyCFunction_Call` and all ways of calling an object.
    "PyCFunction_Call",
    "PyEval_Call",
    "PyObject_CallFunction",
    "PyObject_CallMethod",
    "PyObject_Vectorcall",
    "PyVectorcall_Call",
    "_PyObject_CallFunction",
    "_PyObject_CallMethod",
    "_PyObject_CallNoArg",
    "_PyObject_FastCall",
    "_PyObject_Vectorcall",
    "_PyVectorcall_Call",
    "_Py_VectorCall",
    "cfunction_call",
    "cfunction_vectorcall",
    "method_vectorcall",
    // Special methods that a class defines in Python: `slot_tp_call`, `slot_nb_add`.
    "slot_am_",
    "slot_bf_",
    "slot_mp_",
    "slot_nb_",
    "slot_sq_",
    "slot_tp_",
    // From `main` to the first frame.
    "PyRun_",
    "_PyRun_",
    "pymain_",
    "pyrun_",
    // One function for each instruction (builds with tail calls, 3.14+).
    "_TAIL_CALL_",
    "pythread_wrapper",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use object::read::elf::ElfFile64;
    use object::{LittleEndian, Object as _, ObjectSymbol as _};

    use super::*;
    use crate::language::python::test_support::{installed, not_tested};

    fn in_interpreter(symbol: &str) -> bool {
        RunningCode {
            symbol: Some(symbol),
            is_in_interpreter: true,
            is_evaluation_loop: false,
        }
        .is_plumbing()
    }

    fn elsewhere(symbol: &str) -> bool {
        RunningCode {
            symbol: Some(symbol),
            is_in_interpreter: false,
            is_evaluation_loop: false,
        }
        .is_plumbing()
    }

    #[test]
    fn what_runs_python_is_hidden() {
        for symbol in [
            "_PyEval_Vector",
            "_PyEval_EvalFrameDefault.cold",
            "method_vectorcall_FASTCALL_KEYWORDS",
            "slot_tp_call",
            "pymain_run_python.constprop.0",
            "_PyObject_VectorcallTstate.lto_priv.3",
            "_TAIL_CALL_LOAD_FAST",
        ] {
            assert!(in_interpreter(symbol), "{symbol}");
            assert!(!elsewhere(symbol), "{symbol} of another library");
        }
        for symbol in ["_start", "__libc_start_main@@GLIBC_2.34", "clone3", "py::f:/a.py"] {
            assert!(in_interpreter(symbol) && elsewhere(symbol), "{symbol}");
        }
    }

    #[test]
    fn what_python_asked_for_is_shown() {
        for symbol in [
            "list_sort",
            "builtin_sum",
            "functools_reduce",
            "gc_collect_main",
            "sre_ucs1_match",
            "_io_TextIOWrapper_write",
            "PyObject_Calloc",
            "_PyObject_Calloc",
            "PyObject_CallFinalizer",
            "_PyObject_GenericGetAttrWithDict",
            "partial_vectorcall",
            "builtin_exec",
            "long_mul",
            "Py_FinalizeEx",
            "take_gil",
        ] {
            assert!(!in_interpreter(symbol), "{symbol}");
        }
    }

    #[test]
    fn a_frame_without_a_name_is_hidden_only_in_the_interpreter() {
        let unnamed = |is_in_interpreter, is_evaluation_loop| RunningCode {
            symbol: None,
            is_in_interpreter,
            is_evaluation_loop,
        };
        assert!(unnamed(true, false).is_plumbing());
        assert!(unnamed(false, true).is_plumbing());
        assert!(!unnamed(false, false).is_plumbing());
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(STARTS.is_sorted_by(|one, next| one < next));
        assert!(PLUMBING.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn every_name_is_one_of_an_interpreter() {
        let mut known = BTreeSet::new();
        for python in installed() {
            let bytes = std::fs::read(&python.file).expect("installed");
            let file = ElfFile64::<LittleEndian>::parse(&*bytes).expect("a working library");
            for symbol in file.symbols().chain(file.dynamic_symbols()) {
                let name = symbol.name().unwrap_or_default();
                known.insert(without_suffix(name).to_owned());
            }
        }
        // Local functions: some interpreter must have its symbol table.
        if !known.contains("list_sort") {
            return not_tested("names of functions: no interpreter has local symbols");
        }
        let missing: Vec<_> = PLUMBING
            .iter()
            .filter(|name| !known.contains(**name) && !ELSEWHERE.contains(name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// Inlined, or of versions that no test here has: by CPython's source.
    const ELSEWHERE: &[&str] = &[
        "PyIter_NextItem",
        "RunMainFromImporter",
        "_PyEvalFramePushAndInit_Ex",
        "_PyEval_EvalFrame",
        "call_trampoline",
        "callmethod",
        "clear_gen_frame",
        "clear_thread_frame",
        "do_call",
        "do_call_core",
        "eval_frame_handle_pending",
        "fast_function",
        "import_find_and_load",
        "import_name",
        "wrapperdescr_raw_call",
    ];
}
