#include "server/demo.h"
#include "server/help.h"
#include "server/options.h"
#include "server/run.h"
#include <stdio.h>

enum { EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
    struct options options;
    struct buffer message = {0};
    int status = 0;

    options_init(&options);
    if (options_parse_arguments(&options, argc, argv, &message) != OK) {
        fprintf(stderr, "%.*s", BYTES_PRINTF(buffer_bytes(&message)));
        status = EXIT_USAGE;
    } else {
        switch (options.verb) {
        case VERB_cache:
        case VERB_gateway:
        case VERB_mock:
        case VERB_serve: status = run_roles(&options); break;
        case VERB_check: printf("%s: fine\n", options.file); break;
        case VERB_demo: status = demo_run(&options, stdout); break;
        case VERB_help: help_print(options.help_verb, stdout); break;
        case VERB_version: printf("nuthatch " NUTHATCH_VERSION "\n"); break;
        }
    }
    buffer_fini(&message);
    options_fini(&options);
    return status;
}
