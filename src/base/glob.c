#include "base/glob.h"

struct glob {
    const char *at, *end;
    bool is_nocase;
};

static unsigned char fold(const struct glob *glob, char byte)
{
    return (unsigned char)(glob->is_nocase ? byte_to_lower(byte) : byte);
}

/* Takes a set from behind its bracket to its end; true if `byte` is in it. */
static bool take_set(struct glob *glob, char byte)
{
    unsigned char wanted = fold(glob, byte);
    bool is_negated = glob->at < glob->end && *glob->at == '^', fits = false;

    glob->at += is_negated;
    while (glob->at < glob->end && *glob->at != ']') {
        if (*glob->at == '\\' && glob->end - glob->at >= 2) {
            fits |= fold(glob, glob->at[1]) == wanted;
            glob->at += 2;
        } else if (glob->end - glob->at >= 3 && glob->at[1] == '-') {
            unsigned char low = (unsigned char)glob->at[0], high = (unsigned char)glob->at[2];
            if (low > high) {
                unsigned char swapped = low;
                low = high;
                high = swapped;
            }
            fits |= wanted >= fold(glob, (char)low) && wanted <= fold(glob, (char)high);
            glob->at += 3;
        } else {
            fits |= fold(glob, *glob->at++) == wanted;
        }
    }
    glob->at += glob->at < glob->end; /* the bracket */
    return fits != is_negated;
}

/* Takes one element that is no star; true if it fits `byte`. */
static bool take_one(struct glob *glob, char byte)
{
    char element = *glob->at++;

    if (element == '?')
        return true;
    if (element == '[')
        return take_set(glob, byte);
    if (element == '\\' && glob->at < glob->end)
        element = *glob->at++;
    return fold(glob, element) == fold(glob, byte);
}

/* Only the last star needs to be tried again: what an earlier one took more of, the last can take too. */
static bool fits(struct glob glob, struct bytes text)
{
    const char *byte = text.data, *end = byte + text.size;
    const char *after_star = NULL, *star_byte = NULL;

    while (byte < end) {
        if (glob.at < glob.end && *glob.at == '*') {
            after_star = ++glob.at;
            star_byte = byte;
        } else if (glob.at < glob.end && take_one(&glob, *byte)) {
            byte++;
        } else if (after_star != NULL) {
            glob.at = after_star;
            byte = ++star_byte;
        } else {
            return false;
        }
    }
    while (glob.at < glob.end && *glob.at == '*')
        glob.at++;
    return glob.at == glob.end;
}

bool glob_fits(struct bytes pattern, struct bytes text)
{
    return fits((struct glob){pattern.data, pattern.data + pattern.size, false}, text);
}

bool glob_fits_nocase(struct bytes pattern, struct bytes text)
{
    return fits((struct glob){pattern.data, pattern.data + pattern.size, true}, text);
}
