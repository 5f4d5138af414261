/* What the compiled loops have in common. */

#ifndef EVENTSPEECH_COMPILED_H
#define EVENTSPEECH_COMPILED_H

#include <stdint.h>

/* Tells which sources a library was compiled from; setup.py counts them, compiled.py looks. Once in each library. */
#define TELL_SOURCES uint64_t sources(void) { return SOURCES; }

#define INLINE static inline __attribute__((always_inline))

/* one binary for all x86-64 machines of a cluster: the best version is chosen when the library is loaded */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CHOOSE
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* What has decayed below 1e-38 is zero, until the function returns: processors take a hundred cycles and more for each
   operation on such numbers, which currents reach within half a second of silence, and Adam's averages in a thousand
   updates without gradient. */
#if defined(__x86_64__) && defined(__GNUC__)
#define FLUSH_DENORMALS                                                                            \
    __attribute__((cleanup(restore_mode))) const unsigned mode_before = __builtin_ia32_stmxcsr(); \
    __builtin_ia32_ldmxcsr(mode_before | 0x8040) /* results flushed to zero, operands taken as zero */
INLINE void restore_mode(const unsigned *mode) { __builtin_ia32_ldmxcsr(*mode); }
#else
#define FLUSH_DENORMALS
#endif

#endif
