"""An interpreter whose memory lies, in one way of many. Argument: which way. It goes on in C and never comes back to Python."""
import ctypes
import struct
import sys
import threading

import attack
from cpython313 import *

LIBRARY = attack.helper()
#: Nobody's memory, aligned so that a tag would be seen.
NOWHERE = 0x7ABC_DEF0_1000
keep = []


def memory(size):
    """Zeros that stay."""
    block = ctypes.create_string_buffer(size)
    keep.append(block)
    return (ctypes.addressof(block) + 15) & -16


def here():
    """The frame of who calls this: the newest is that of `word_at`, the next this one."""
    frame = attack.word_at(attack.thread_state() + THREAD_FRAME)
    for _ in range(2):
        frame = attack.word_at(frame + FRAME_PREVIOUS)
    return frame


def code_of(frame):
    return attack.word_at(frame + FRAME_CODE)


def lie(*pairs):
    LIBRARY.lie(attack.words(*pairs), ctypes.c_long(len(pairs) // 2))


def waver(*triples):
    LIBRARY.waver(attack.words(*triples), ctypes.c_long(len(triples) // 3))


def copy(address, size):
    to = memory(size)
    ctypes.memmove(to, address, size)
    return to


def chain_of_frames(frame, count):
    """`count` copies of a frame, each the caller of the one before."""
    size = 96
    block = memory(size * (count + 1))
    ctypes.memmove(block, frame, size)
    image = bytearray(ctypes.string_at(block, size))
    frames = bytearray(size * count)
    for index in range(count):
        struct.pack_into("<Q", image, FRAME_PREVIOUS, block + size * (index + 1) if index + 1 < count else 0)
        frames[index * size:(index + 1) * size] = image
    ctypes.memmove(block, bytes(frames), len(frames))
    return block


def frame_cycle():
    frame = here()
    lie(frame + FRAME_PREVIOUS, frame)


def frame_cycle_of_two():
    frame = here()
    other = copy(frame, 96)
    lie(other + FRAME_PREVIOUS, frame, frame + FRAME_PREVIOUS, other)


def frames_without_end():
    lie(attack.thread_state() + THREAD_FRAME, chain_of_frames(here(), 300_000))


def frame_nowhere():
    lie(here() + FRAME_PREVIOUS, NOWHERE)


def frame_in_the_kernel():
    lie(here() + FRAME_PREVIOUS, 0xFFFF_8000_0000_0000)


def frame_not_canonical():
    lie(here() + FRAME_PREVIOUS, 0x8000_0000_0000_0001)


def frame_wavers():
    frame = here()
    other = copy(frame, 96)
    waver(frame + FRAME_PREVIOUS, other, NOWHERE, other + FRAME_PREVIOUS, frame, 0)


def name_without_end():
    name = attack.word_at(code_of(here()) + CODE_NAME)
    lie(name + TEXT_LENGTH, 1 << 62)


def name_of_negative_length():
    name = attack.word_at(code_of(here()) + CODE_QUALNAME)
    lie(name + TEXT_LENGTH, (1 << 64) - 1)


def name_of_no_kind():
    code = code_of(here())
    pairs = []
    for field in (CODE_NAME, CODE_QUALNAME, CODE_FILE):
        pairs += [attack.word_at(code + field) + TEXT_STATE, 0xFFFF_FFFF_FFFF_FFFF]
    lie(*pairs)


def names_are_numbers():
    code = code_of(here())
    lie(code + CODE_NAME, id(17), code + CODE_QUALNAME, id(3.5), code + CODE_FILE, id(None))


def names_are_the_code():
    code = code_of(here())
    lie(code + CODE_NAME, code, code + CODE_QUALNAME, code, code + CODE_FILE, code, code + CODE_LINES, code)


def names_are_misaligned():
    code = code_of(here())
    lie(*[word for field in (CODE_NAME, CODE_QUALNAME, CODE_FILE) for word in (code + field, attack.word_at(code + field) + 3)])


def lines_without_end():
    lie(attack.word_at(code_of(here()) + CODE_LINES) + BYTES_LENGTH, 1 << 62)


def lines_of_nonsense():
    code = code_of(here())
    lines = bytes([0x80 | 14 << 3, 0xFF, 0xFF]) * 300_000
    keep.append(lines)
    lie(code + CODE_LINES, id(lines))


def code_is_nonsense():
    block = memory(4096)
    ctypes.memmove(block, bytes((7 * i * i + 3) & 255 for i in range(4096)), 4096)
    lie(here() + FRAME_CODE, block)


def code_is_tagged():
    frame = here()
    lie(frame + FRAME_CODE, code_of(frame) | 7)


def code_is_used_again():
    frame = here()
    code = code_of(frame)
    other = here.__code__
    waver(frame + FRAME_CODE, code, id(other), code + CODE_NAME, id("one"), id("two"),
          code + CODE_FIRST_LINE, 1 << 32 | 7, 2 << 32 | 9)


def instruction_elsewhere():
    lie(here() + FRAME_INSTRUCTION, NOWHERE)


def instruction_far_behind():
    frame = here()
    lie(frame + FRAME_INSTRUCTION, code_of(frame) + (1 << 40))


def owners_of_no_kind():
    frame = here()
    word = attack.word_at(frame + (FRAME_OWNER & -8))
    lie(frame + (FRAME_OWNER & -8), word | 0xFF << 8 * (FRAME_OWNER & 7))


def thread_of_another():
    state = attack.thread_state()
    lie(state + THREAD_ID, 1, state + THREAD_NATIVE_ID, 1)


def threads_in_a_circle():
    state = attack.thread_state()
    lie(state + THREAD_NEXT, state, state + THREAD_PREVIOUS, state)


def threads_without_end():
    state = attack.thread_state()
    count, size = 100_000, 512
    block = memory(count * size)
    image = bytearray(ctypes.string_at(state, size))
    states = bytearray(count * size)
    for index in range(count):
        struct.pack_into("<Q", image, THREAD_NEXT, block + size * ((index + 1) % count))
        struct.pack_into("<Q", image, THREAD_NATIVE_ID, index + 1)
        states[index * size:(index + 1) * size] = image
    ctypes.memmove(block, bytes(states), len(states))
    lie(state + THREAD_NEXT, block)


def modules_waver():
    modules = id(sys.modules)
    keys = attack.word_at(modules + 32)
    waver(modules + 32, keys, NOWHERE, modules + 16, 1 << 62, 3)


def dictionary_of_2_to_the_62():
    keys = attack.word_at(id(sys.modules) + 32)
    lie(keys + 8, 0x3E3E, keys + 16, 1 << 62, keys + 24, 1 << 62, id(sys.modules) + 16, 1 << 62)


def dictionary_changes():
    active = threading._active
    keys = attack.word_at(id(active) + 32)
    other = attack.word_at(id({str(i): i for i in range(9)}) + 32)
    waver(id(active) + 32, keys, other, id(active) + 16, 1, 1 << 40)


def thread_name_without_end():
    lie(id(threading.current_thread().name) + TEXT_LENGTH, 1 << 62)


def offsets_of_nonsense():
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    lie(*[word for index in range(1, 70) for word in (runtime + 8 * index, (1 << 63) | index)])


def runtime_of_zeros():
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    lie(*[word for index in range(0, 400) for word in (runtime + 8 * index, 0)])


globals()[sys.argv[1].replace("-", "_")]()
