#include "store/random.h"
#include "load.h"
#include <math.h>

/* The integral of x^-exponent, and its inverse; near an exponent of 1 both by their limits. */
static double integral(const struct zipf *zipf, double x)
{
    double log_x = log(x), a = (1 - zipf->exponent) * log_x;
    return (fabs(a) > 1e-8 ? expm1(a) / a : 1 + a / 2) * log_x;
}

static double inverse(const struct zipf *zipf, double x)
{
    double t = x * (1 - zipf->exponent);

    if (t < -1)
        t = -1;
    return exp((fabs(t) > 1e-8 ? log1p(t) / t : 1 - t / 2) * x);
}

void zipf_init(struct zipf *zipf, double exponent, uint64_t count, uint64_t seed)
{
    *zipf = (struct zipf){.exponent = exponent, .count = count, .random = random_seeded(seed)};
    zipf->first = integral(zipf, 1.5) - 1;
    zipf->last = integral(zipf, (double)count + 0.5);
    zipf->accept = 2 - inverse(zipf, integral(zipf, 2.5) - exp(-exponent * log(2)));
}

uint64_t zipf_rank(struct zipf *zipf)
{
    for (;;) {
        double u = zipf->last + random_unit(&zipf->random) * (zipf->first - zipf->last);
        double x = inverse(zipf, u), k = floor(x + 0.5);
        if (k < 1)
            k = 1;
        else if (k > (double)zipf->count)
            k = (double)zipf->count;
        if (k - x <= zipf->accept || u >= integral(zipf, k + 0.5) - exp(-zipf->exponent * log(k)))
            return (uint64_t)k - 1;
    }
}

uint32_t *zipf_ids(double exponent, uint64_t count, uint64_t seed, uint64_t length)
{
    uint32_t *ids = allocate(length * sizeof *ids);
    struct zipf zipf;

    zipf_init(&zipf, exponent, count, seed);
    for (uint64_t i = 0; i < length; i++)
        ids[i] = rank_to_id(zipf_rank(&zipf), count);
    return ids;
}
