#include "changes.h"
#include "template.h"
#include <pthread.h>
#include <stdlib.h>

struct change_note {
    _Atomic uint32_t holders;
    uint64_t number;
    const char *kind;
    size_t name_bytes, text_bytes;
    size_t data_offset; /* in the text, of the event's data: {"name": … */
    char data[];        /* the name, then the text */
};

struct change_note *change_note_create(const char *kind, uint64_t number, struct bytes name,
                                       struct bytes id, struct bytes item)
{
    struct buffer text = {0};
    struct change_note *note = NULL;
    size_t data_offset;

    buffer_append_format(&text, "event: %s\nid: %llu\ndata: ", kind, (unsigned long long)number);
    data_offset = text.size;
    buffer_append_literal(&text, "{\"name\":\"");
    template_append_json_text(&text, name);
    buffer_append_literal(&text, "\",\"id\":\"");
    template_append_json_text(&text, id);
    buffer_append_literal(&text, "\",\"item\":");
    for (size_t i = 0; i < item.size; i++) /* between two tokens a line's end is as good as a space */
        buffer_append_byte(&text, item.data[i] == '\n' || item.data[i] == '\r' ? ' ' : item.data[i]);
    if (item.size == 0)
        buffer_append_literal(&text, "null");
    buffer_append_literal(&text, "}\n\n");
    if (!text.failed)
        note = malloc(sizeof *note + name.size + text.size);
    if (note != NULL) {
        *note = (struct change_note){.holders = 1,
                                     .number = number,
                                     .kind = kind,
                                     .name_bytes = name.size,
                                     .text_bytes = text.size,
                                     .data_offset = data_offset};
        if (name.size > 0)
            memcpy(note->data, name.data, name.size);
        memcpy(note->data + name.size, text.data, text.size);
    }
    buffer_fini(&text);
    return note;
}

void change_note_release(struct change_note *note)
{
    if (atomic_fetch_sub(&note->holders, 1) == 1)
        free(note);
}

struct bytes change_note_text(const struct change_note *note)
{
    return bytes_of(note->data + note->name_bytes, note->text_bytes);
}

void change_note_append_json(const struct change_note *note, struct buffer *out)
{
    struct bytes data = bytes_after(change_note_text(note), note->data_offset);

    buffer_append_format(out, "{\"event\":\"%s\",\"number\":%llu,", note->kind,
                         (unsigned long long)note->number);
    buffer_append(out, bytes_of(data.data + 1, data.size - strlen("{\n\n"))); /* without these three */
}

bool change_note_is_about(const struct change_note *note, struct bytes name)
{
    return note->name_bytes == 0 || bytes_equal(name, BYTES("*")) ||
           bytes_equal(name, bytes_of(note->data, note->name_bytes));
}

void changes_inbox_init(struct changes_inbox *inbox, struct loop *loop, void (*arrived)(struct task *task))
{
    inbox->loop = loop;
    inbox->task.run = arrived;
    list_init(&inbox->listeners);
    pthread_mutex_init(&inbox->lock, NULL);
}

void changes_inbox_fini(struct changes_inbox *inbox)
{
    for (size_t i = 0; i < inbox->count; i++)
        change_note_release(inbox->notes[i]);
    pthread_mutex_destroy(&inbox->lock);
}

void changes_inbox_put(struct changes_inbox *inbox, struct change_note *note)
{
    bool must_post;

    if (atomic_load(&inbox->listener_count) == 0)
        return;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->count == CHANGES_INBOX_MAX || inbox->bytes + note->text_bytes > CHANGES_INBOX_BYTES_MAX) {
        inbox->is_full = true;
    } else {
        atomic_fetch_add(&note->holders, 1);
        inbox->notes[inbox->count++] = note;
        inbox->bytes += note->text_bytes;
    }
    must_post = !inbox->is_posted;
    inbox->is_posted = true;
    pthread_mutex_unlock(&inbox->lock);
    if (must_post)
        loop_post(inbox->loop, &inbox->task);
}

bool changes_inbox_take(struct changes_inbox *inbox, struct change_note *notes[static CHANGES_INBOX_MAX],
                        size_t *count)
{
    bool is_whole;

    pthread_mutex_lock(&inbox->lock);
    *count = inbox->count;
    if (inbox->count > 0)
        memcpy(notes, inbox->notes, inbox->count * sizeof(struct change_note *));
    is_whole = !inbox->is_full;
    inbox->count = inbox->bytes = 0;
    inbox->is_posted = inbox->is_full = false;
    pthread_mutex_unlock(&inbox->lock);
    return is_whole;
}
