/* One update of Adam in a single pass over memory. Compiled without fused operations: the same bits as numpy's. */

#include <math.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

CLONES void adam(float *restrict weights, float *restrict first, float *restrict second,
                 const float *restrict gradient, int64_t count, float beta1, float beta2, float epsilon, float rate,
                 float root)
{
    const float rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
    for (int64_t i = 0; i < count; i++) {
        const float g = gradient[i];
        first[i] = first[i] * beta1 + g * rest1;
        second[i] = second[i] * beta2 + g * g * rest2;
        weights[i] -= first[i] / (sqrtf(second[i]) * root + epsilon) * rate;
    }
}
