#include "server/nearest.h"

enum { WORD_BYTES_MAX = 40 };

static unsigned smaller(unsigned a, unsigned b) { return a < b ? a : b; }

/* Edits from `a` to `b`, a swap of neighbours counting as one (optimal string alignment). */
static unsigned distance_between(struct bytes a, struct bytes b)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b.size; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a.size; i++) {
        unsigned *spare = before;
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            char from = byte_to_lower(a.data[i - 1]), to = byte_to_lower(b.data[j - 1]);
            row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + (from != to));
            if (i > 1 && j > 1 && from == byte_to_lower(b.data[j - 2]) &&
                byte_to_lower(a.data[i - 2]) == to)
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[b.size];
}

void nearest_consider(struct nearest *nearest, const char *name)
{
    struct bytes candidate = bytes_of_text(name);
    size_t longer = candidate.size > nearest->wanted.size ? candidate.size : nearest->wanted.size;
    unsigned allowed = longer < 3 ? 1 : (unsigned)longer / 3;
    unsigned distance;

    if (longer > WORD_BYTES_MAX || nearest->wanted.size == 0)
        return;
    distance = distance_between(nearest->wanted, candidate);
    if (distance > allowed || (nearest->name != NULL && distance >= nearest->distance))
        return;
    nearest->name = name;
    nearest->distance = distance;
}
