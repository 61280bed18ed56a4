#include "server/load_progress.h"
#include <stdio.h>
#include <unistd.h>

enum { SHOWN_BYTES_MIN = 16 << 20 /* less is read before anybody looks */, BAR_COLUMNS = 30 };

void load_progress_show(void *path, size_t done_bytes, size_t total_bytes)
{
    static const char full[] = "##############################", rest[] = "..............................";
    size_t columns;

    if (total_bytes < SHOWN_BYTES_MIN || !isatty(STDERR_FILENO))
        return;
    columns = done_bytes * BAR_COLUMNS / total_bytes;
    if (done_bytes == total_bytes)
        fputs("\r\033[K", stderr);
    else
        fprintf(stderr, "\rreading %s [%.*s%.*s] %zu %%", (const char *)path, (int)columns, full,
                (int)(BAR_COLUMNS - columns), rest, done_bytes * 100 / total_bytes);
    fflush(stderr);
}
