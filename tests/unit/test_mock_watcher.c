/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* What changes while files are read is seen, also where they lead to others than before. In real time, for
 * the watcher has a thread of its own. */
#include "base/now.h"
#include "engine/mock/storage/watcher.h"
#include "test.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

/* A file that leads to another one, and what was read of them last. */
struct pair {
    char folder[32], first[64], second[64];
    const char *changes_meanwhile; /* the file of the two that somebody changes while they are read, once */
    pthread_mutex_t lock;          /* of the rest */
    int read_count;
    char text[64];
};

static void write_text(const char *path, const char *text)
{
    char beside[80];
    FILE *file;

    snprintf(beside, sizeof beside, "%s.beside", path);
    file = fopen(beside, "w");
    EXPECT(file != NULL);
    EXPECT(fputs(text, file) >= 0);
    EXPECT_EQ(fclose(file), 0);
    EXPECT_EQ(rename(beside, path), 0);
}

static void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");

    EXPECT(file != NULL);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static enum err reload(void *subject, const void *source, struct buffer *paths, struct buffer *message)
{
    struct pair *pair = subject;
    char first[32], second[32];

    (void)source;
    (void)message;
    read_text(pair->first, first, sizeof first);
    read_text(pair->second, second, sizeof second);
    buffer_append(paths, bytes_of(pair->first, strlen(pair->first) + 1));
    buffer_append(paths, bytes_of(pair->second, strlen(pair->second) + 1));
    pthread_mutex_lock(&pair->lock);
    pair->read_count++;
    snprintf(pair->text, sizeof pair->text, "%s %s", first, second);
    pthread_mutex_unlock(&pair->lock);
    if (pair->changes_meanwhile != NULL)
        write_text(pair->changes_meanwhile, "newest");
    pair->changes_meanwhile = NULL;
    return OK;
}

static bool is_read(struct pair *pair, const char *text)
{
    int64_t end_ms = clock_read(&clock_system).mono_ms + PATIENCE_MS;
    bool is = false;

    while (!is && clock_read(&clock_system).mono_ms < end_ms) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        pthread_mutex_lock(&pair->lock);
        is = strcmp(pair->text, text) == 0;
        pthread_mutex_unlock(&pair->lock);
    }
    return is;
}

/* Of a watcher that knows of the first alone, until it reads it. */
static void play(struct pair *pair, struct watcher **watcher)
{
    pthread_mutex_init(&pair->lock, NULL);
    strcpy(pair->folder, "/tmp/nuthatch.XXXXXX");
    EXPECT(mkdtemp(pair->folder) != NULL);
    snprintf(pair->first, sizeof pair->first, "%s/first", pair->folder);
    snprintf(pair->second, sizeof pair->second, "%s/second", pair->folder);
    write_text(pair->first, "old");
    write_text(pair->second, "other");
    EXPECT_EQ(
        watcher_create(&(struct watcher_options){.what = pair->first,
                                                 .paths = bytes_of(pair->first, strlen(pair->first) + 1),
                                                 .reload = reload,
                                                 .subject = pair},
                       watcher),
        OK);
    write_text(pair->first, "new");
}

static void end(struct pair *pair, struct watcher *watcher)
{
    watcher_destroy(watcher);
    unlink(pair->first);
    unlink(pair->second);
    EXPECT_EQ(rmdir(pair->folder), 0);
    pthread_mutex_destroy(&pair->lock);
}

TEST(a_file_that_changes_while_it_is_read_for_the_first_time_is_read_again)
{
    struct pair pair = {.changes_meanwhile = pair.second};
    struct watcher *watcher;
    bool is_good;

    play(&pair, &watcher);
    is_good = is_read(&pair, "new newest");
    end(&pair, watcher);
    EXPECT(is_good);
}

TEST(a_file_that_changes_while_it_leads_to_others_is_read_again)
{
    struct pair pair = {.changes_meanwhile = pair.first};
    struct watcher *watcher;
    bool is_good;

    play(&pair, &watcher);
    is_good = is_read(&pair, "newest other");
    end(&pair, watcher);
    EXPECT(is_good);
}

RUN_TESTS(TEST_ROW(a_file_that_changes_while_it_is_read_for_the_first_time_is_read_again),
          TEST_ROW(a_file_that_changes_while_it_leads_to_others_is_read_again))
