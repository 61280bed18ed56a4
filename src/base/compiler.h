/* compiler.h — the few things the language leaves to the compiler. */
#pragma once

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Says that control never gets here; stops the program if it does. */
#define UNREACHABLE() __builtin_trap()

#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of `type` whose field `field` is at `pointer`. */
#define CONTAINER_OF(pointer, type, field) ((type *)(void *)((char *)(pointer)-offsetof(type, field)))
