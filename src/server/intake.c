#include "server/intake.h"
#include "server/conn.h"
#include "server/server.h"
#include <stdlib.h>
#include <unistd.h>

struct intake_item {
    struct port *port; /* the taking worker's */
    int fd;
};

static void take(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, intake.task);
    struct intake *intake = &worker->intake;
    struct intake_item *items;
    size_t count;

    pthread_mutex_lock(&intake->lock);
    items = intake->items;
    count = intake->count;
    intake->items = NULL;
    intake->count = intake->capacity = 0;
    pthread_mutex_unlock(&intake->lock);
    for (size_t i = 0; i < count; i++) {
        if (worker->draining)
            close(items[i].fd);
        else
            conn_accept(&items[i].port->listener, items[i].fd);
    }
    free(items);
}

/* False if there is no memory. */
static bool give(struct worker *worker, struct port *port, int fd)
{
    struct intake *intake = &worker->intake;
    bool was_empty, is_given = false;

    pthread_mutex_lock(&intake->lock);
    was_empty = intake->count == 0;
    if (intake->count == intake->capacity) {
        size_t capacity = intake->capacity > 0 ? intake->capacity * 2 : 16;
        struct intake_item *items = reallocarray(intake->items, capacity, sizeof *items);
        if (items != NULL) {
            intake->items = items;
            intake->capacity = capacity;
        }
    }
    if (intake->count < intake->capacity) {
        intake->items[intake->count++] = (struct intake_item){port, fd};
        is_given = true;
    }
    pthread_mutex_unlock(&intake->lock);
    if (is_given && was_empty)
        loop_post(worker->loop, &intake->task);
    return is_given;
}

void intake_accept(struct listener *listener, int fd)
{
    struct port *port = CONTAINER_OF(listener, struct port, listener);
    struct worker *worker = server_next_worker(port->worker->server, &port->turn);

    if (worker == port->worker)
        conn_accept(listener, fd);
    else if (!give(worker, &worker->ports[port - port->worker->ports], fd))
        close(fd);
}

void intake_init(struct intake *intake)
{
    pthread_mutex_init(&intake->lock, NULL);
    intake->task.run = take;
}

void intake_fini(struct intake *intake)
{
    for (size_t i = 0; i < intake->count; i++)
        close(intake->items[i].fd);
    free(intake->items);
    pthread_mutex_destroy(&intake->lock);
}
