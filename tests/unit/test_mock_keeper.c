/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* The keeper's turns: what becomes due is done though changes never cease. In real time, for it has a
 * thread of its own. */
#include "base/now.h"
#include "engine/mock/storage/keeper.h"
#include "test.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct folder {
    char path[32], file[64];
    struct file_identity identity;
};

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    EXPECT(file != NULL);
    EXPECT(fputs(text, file) >= 0);
    EXPECT_EQ(fclose(file), 0);
}

static void make_folder(struct folder *folder)
{
    *folder = (struct folder){.path = "/tmp/nuthatch.XXXXXX"};
    EXPECT(mkdtemp(folder->path) != NULL);
    snprintf(folder->file, sizeof folder->file, "%s/db.json", folder->path);
    write_text(folder->file, "{}");
    EXPECT_EQ(file_identity_of(folder->file, &folder->identity), OK);
}

static void remove_folder(const struct folder *folder)
{
    static const char *const endings[] = {"", ".journal", ".new", ".unsaved"};
    char path[128];

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(path, sizeof path, "%s%s", folder->file, endings[i]);
        unlink(path);
    }
    EXPECT_EQ(rmdir(folder->path), 0);
}

static enum err render(void *context, struct keeper_text *text)
{
    (void)context;
    *text = (struct keeper_text){.json = BYTES("{}")};
    return OK;
}

static void release(void *context, struct keeper_text *text)
{
    (void)context;
    (void)text;
}

static bool reload(void *context)
{
    atomic_store((_Atomic bool *)context, true);
    return true;
}

TEST(a_file_is_looked_at_however_steadily_there_are_changes)
{
    enum { PATIENCE_MS = 2000 };
    static char spaces[1000]; /* so that a write to the journal takes a while */
    const struct journal_change change = {
        .kind = JOURNAL_PUT, .name = BYTES("posts"), .json = bytes_of(spaces, sizeof spaces)};
    _Atomic bool is_read = false;
    struct keeper *keeper = NULL;
    struct folder folder;
    int64_t end_ms;

    memset(spaces, ' ', sizeof spaces);
    make_folder(&folder);
    EXPECT_EQ(keeper_create(&(struct keeper_options){.path = folder.file,
                                                     .identity = folder.identity,
                                                     .writes = true,
                                                     .watches = true,
                                                     .context = (void *)&is_read,
                                                     .render = render,
                                                     .release = release,
                                                     .reload = reload},
                            &keeper),
              OK);
    write_text(folder.file, "{\"posts\":[]}");
    end_ms = clock_read(&clock_system).mono_ms + PATIENCE_MS;
    while (!atomic_load(&is_read) && clock_read(&clock_system).mono_ms < end_ms)
        keeper_note(keeper, &change);
    keeper_destroy(keeper);
    remove_folder(&folder);
    EXPECT(atomic_load(&is_read));
}

RUN_TESTS(TEST_ROW(a_file_is_looked_at_however_steadily_there_are_changes))
