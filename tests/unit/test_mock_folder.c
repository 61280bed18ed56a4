/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* Static files where the kernel has no openat2, or a sandbox forbids it, and paths at their longest. */
#include "base/compiler.h"
#include "engine/mock/files/folder.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From here on this process has no openat2. False if there are no such filters here. */
static bool forbid_openat2(void)
{
    struct sock_filter rows[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT_OF(rows), .filter = rows};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void make_file(int folder_fd, const char *name)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    EXPECT(fd >= 0);
    close(fd);
}

static enum err try(const struct folder *folder, struct bytes path)
{
    struct folder_file file;
    enum err err = folder_open_file(folder, path, &file);

    if (err == OK)
        close(file.fd);
    return err;
}

static void look_at_all(const struct folder *folder)
{
    static const struct {
        struct bytes path;
        enum err err;
    } cases[] = {
        {BYTES_INIT("/"), OK},
        {BYTES_INIT("/index.html"), OK},
        {BYTES_INIT("/docs/"), OK},
        {BYTES_INIT("/docs/index.html"), OK},
        {BYTES_INIT("/docs"), ERR_TYPE},
        {BYTES_INIT("/nosuch/"), ERR_MISSING},
        {BYTES_INIT("/docs//index.html"), ERR_MISSING},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        EXPECT_EQ(try(folder, cases[i].path), cases[i].err);
}

TEST(a_folder_answers_with_its_page_with_and_without_openat2)
{
    char path[] = "/tmp/nuthatch.XXXXXX";
    struct folder folder;

    EXPECT(mkdtemp(path) != NULL);
    EXPECT_EQ(folder_open(path, &folder), OK);
    make_file(folder.fd, "index.html");
    EXPECT_EQ(mkdirat(folder.fd, "docs", 0700), 0);
    make_file(folder.fd, "docs/index.html");
    look_at_all(&folder);
    if (forbid_openat2())
        look_at_all(&folder);
    unlinkat(folder.fd, "docs/index.html", 0);
    unlinkat(folder.fd, "docs", AT_REMOVEDIR);
    unlinkat(folder.fd, "index.html", 0);
    folder_close(&folder);
    EXPECT_EQ(rmdir(path), 0);
}

/* Folders in one another whose path below `fd` has just `size` bytes. */
static void make_folders(int fd, char *path, size_t size)
{
    for (size_t at = 0; at < size; at++)
        path[at] = at % 200 == 199 && at + 1 < size ? '/' : 'a';
    path[size] = '\0';
    for (size_t at = 1; at <= size; at++) {
        if (path[at] != '/' && path[at] != '\0')
            continue;
        path[at] = '\0';
        EXPECT_EQ(mkdirat(fd, path, 0700), 0);
        path[at] = at < size ? '/' : '\0';
    }
}

static void remove_folders(int fd, char *path)
{
    char *slash;

    do {
        EXPECT_EQ(unlinkat(fd, path, AT_REMOVEDIR), 0);
        if ((slash = strrchr(path, '/')) != NULL)
            *slash = '\0';
    } while (slash != NULL);
}

TEST(the_longest_path_of_a_folder_has_room_for_its_page)
{
    char path[] = "/tmp/nuthatch.XXXXXX", name[PATH_MAX + 1];
    struct folder folder;

    EXPECT(mkdtemp(path) != NULL);
    EXPECT_EQ(folder_open(path, &folder), OK);
    name[0] = '/';
    for (size_t size = PATH_MAX - 14; size < PATH_MAX - 8; size++) {
        make_folders(folder.fd, name + 1, size);
        EXPECT_EQ(try(&folder, bytes_of(name, size + 1)), ERR_MISSING);
        remove_folders(folder.fd, name + 1);
    }
    folder_close(&folder);
    EXPECT_EQ(rmdir(path), 0);
}

RUN_TESTS(TEST_ROW(the_longest_path_of_a_folder_has_room_for_its_page),
          TEST_ROW(a_folder_answers_with_its_page_with_and_without_openat2))
