/* words.h — eight bytes of text looked at at once. */
#pragma once
#include <stdint.h>
#include <string.h>

#define WORD_OF(byte)  (UINT64_C(0x0101010101010101) * (byte))
#define WORD_HIGH_BITS WORD_OF(0x80U)

static inline uint64_t word_load(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

/* Not 0 if one of the bytes is `byte`; if one is below `bound`, at most 0x80, bytes from 0x80 on aside. */
static inline uint64_t word_has(uint64_t word, unsigned byte)
{
    uint64_t zeroes = word ^ WORD_OF(byte);
    return (zeroes - WORD_OF(1U)) & ~zeroes & WORD_HIGH_BITS;
}
static inline uint64_t word_has_below(uint64_t word, unsigned bound)
{
    return (word - WORD_OF(bound)) & ~word & WORD_HIGH_BITS;
}
