/* compiler.h — the few things the language leaves to the compiler. */
#pragma once

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* For the few functions of a hot path where passing the arguments costs as much as the work. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Before a loop of few rounds: write them all out. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Says that control never gets here; stops the program if it does. */
#define UNREACHABLE() __builtin_trap()

#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of `type` whose field `field` is at `pointer`. */
#define CONTAINER_OF(pointer, type, field) ((type *)(void *)((char *)(pointer)-offsetof(type, field)))
