/* load_progress.h — a bar on a terminal while a large file is read; nothing in a pipe or for a small one.
 */
#pragma once
#include <stddef.h>

/* `path` names the file, as text; it has the type of a watcher. At the end the bar is taken away. */
void load_progress_show(void *path, size_t done_bytes, size_t total_bytes);
