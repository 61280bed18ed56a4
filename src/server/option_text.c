#include "server/option_read.h"
#include "server/text_list.h"

bool option_text_is_visible(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '!' || text.data[i] > '~')
            return false;
    return text.size > 0;
}

static enum err refuse_if(bool is_wrong, const struct option_text *from, const char *what)
{
    if (!is_wrong)
        return OK;
    buffer_append(from->why, bytes_of_text(what));
    return ERR_SYNTAX;
}

enum err option_read_file(const struct option_text *from, void *field)
{
    enum err err = refuse_if(from->text.size == 0, from, "the name of the file is empty");

    return err == OK ? text_set(field, from->text) : err;
}

enum err option_read_files(const struct option_text *from, void *field)
{
    enum err err = refuse_if(from->text.size == 0, from, "the name of the file is empty");

    return err == OK ? text_list_append(field, from->text) : err;
}

enum err option_read_folder(const struct option_text *from, void *field)
{
    enum err err = refuse_if(from->text.size == 0, from, "the name of the folder is empty");

    return err == OK ? text_set(field, from->text) : err;
}

static enum err refuse_invisible(const struct option_text *from)
{
    return refuse_if(!option_text_is_visible(from->text), from,
                     "write one or more visible ASCII characters, no spaces");
}

enum err option_read_text(const struct option_text *from, void *field)
{
    enum err err = refuse_invisible(from);

    return err == OK ? text_set(field, from->text) : err;
}

enum err option_read_texts(const struct option_text *from, void *field)
{
    enum err err = refuse_invisible(from);

    return err == OK ? text_list_append(field, from->text) : err;
}

enum err option_read_secret(const struct option_text *from, void *field)
{
    enum err err =
        refuse_if(from->text.size == 0, from, "the password is empty; leave the option out for none");

    return err == OK ? text_set(field, from->text) : err;
}
