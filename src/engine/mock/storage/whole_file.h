/* whole_file.h — a file that is there whole or not at all, whatever ends the process: written beside its
 * place and put there in one step. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"

enum whole_file_mode {
    WHOLE_FILE_NEW,     /* ERR_EXISTS if something is there */
    WHOLE_FILE_REPLACE, /* takes the place of a file that is there */
};

/* Writes `bytes` to `path`, by way of `path`.new, and waits until they are on the disk. The file has these
 * permissions, such as 0600, whatever the umask. Returns OK; what err_from_errno says, with `errno` as it
 * was; ERR_NO_MEMORY. Blocks. */
enum err whole_file_write(const char *path, struct bytes bytes, enum whole_file_mode mode,
                          unsigned permissions);

/* Parts of it, for who writes a file in another way. Writes all of `bytes`; false with `errno`. Has the
 * name `path` stay where it was put after the power has failed. Both block. */
bool whole_file_write_all(int fd, struct bytes bytes);
void whole_file_sync_folder(const char *path);
