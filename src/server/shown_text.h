/* shown_text.h — what others wrote, on its way to an operator's eyes. */
#pragma once
#include "base/bytes.h"

/* For "%.*s": at most 60 bytes of `text`. Control bytes have become '?'. */
struct shown {
    char text[64];
};
struct shown shown_text(struct bytes text);
