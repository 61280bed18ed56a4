#include "file_identity.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

static struct file_identity identity_of(const struct stat *status)
{
    return (struct file_identity){.number = (uint64_t)status->st_ino,
                                  .size = (uint64_t)status->st_size,
                                  .changed_ns = status->st_mtim.tv_sec * INT64_C(1000000000) +
                                                status->st_mtim.tv_nsec};
}

/* Sums over the files: whichever of them changes, comes or goes, one of the sums does. */
static enum err identity_of_folder(const char *path, struct file_identity *identity)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    struct stat status;

    if (folder == NULL)
        return err_from_errno(errno);
    *identity = (struct file_identity){0};
    while ((entry = readdir(folder)) != NULL) {
        struct file_identity one;
        if (entry->d_name[0] == '.' || fstatat(dirfd(folder), entry->d_name, &status, 0) != 0 ||
            !S_ISREG(status.st_mode))
            continue;
        one = identity_of(&status);
        identity->number += one.number * UINT64_C(0x9E3779B97F4A7C15);
        identity->size += one.size + 1;
        identity->changed_ns =
            (int64_t)((uint64_t)identity->changed_ns + (uint64_t)one.changed_ns * one.number);
    }
    closedir(folder);
    return OK;
}

enum err file_identity_of(const char *path, struct file_identity *identity)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return err_from_errno(errno);
    if (S_ISDIR(status.st_mode))
        return identity_of_folder(path, identity);
    *identity = identity_of(&status);
    return OK;
}

enum err file_identity_of_fd(int fd, struct file_identity *identity)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return err_from_errno(errno);
    *identity = identity_of(&status);
    return OK;
}
