#include "server/demo.h"
#include "server/demo_cluster.h"
#include "server/help.h"
#include "server/options.h"
#include "server/purge_client.h"
#include "server/run.h"
#include "server/status_client.h"
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
        case VERB_CACHE:
        case VERB_GATEWAY:
        case VERB_MOCK:
        case VERB_SERVE: status = run_roles(&options); break;
        case VERB_CHECK: printf("%s: fine\n", options.file); break;
        case VERB_PURGE: status = purge_run(&options, stdout, stderr); break;
        case VERB_STATUS: status = status_run(&options, stdout, stderr); break;
        case VERB_DEMO:
            status = options.demo_cluster ? demo_cluster_run(&options, stdout) : demo_run(&options, stdout);
            break;
        case VERB_HELP: status = help_print(stdout, options.help_verb) ? 0 : 1; break;
        case VERB_VERSION: printf("nuthatch " NUTHATCH_VERSION "\n"); break;
        }
    }
    buffer_fini(&message);
    options_fini(&options);
    return status;
}
