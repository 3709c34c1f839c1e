#pragma once

/// What the built-in kernels ask of the compiler: vectors as types of their own (GCC, Clang), and which processor they
/// are for. Macros, since attributes and preprocessor branches depend on them; the kernels' sources alone include it.

#if defined(__GNUC__) || defined(__clang__)
#define LS_INLINE inline __attribute__((always_inline))
#define LS_VECTORS 1
#else
#define LS_INLINE inline
#define LS_VECTORS 0
#endif

#if LS_VECTORS && (defined(__x86_64__) || defined(_M_X64))
#define LS_X86 1
#else
#define LS_X86 0
#endif
