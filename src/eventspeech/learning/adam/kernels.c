/* One update of Adam in a single pass over memory. Compiled without fused operations: the same bits as numpy's, but for
   averages below 1e-38, which are zero here. */

#include <math.h>
#include <stdint.h>

#include "../../compiled.h"

TELL_SOURCES

CLONES void adam(float *restrict weights, float *restrict first, float *restrict second,
                 const float *restrict gradient, int64_t count, float beta1, float beta2, float epsilon, float rate,
                 float root)
{
    FLUSH_DENORMALS;
    const float rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
    for (int64_t i = 0; i < count; i++) {
        const float g = gradient[i];
        first[i] = first[i] * beta1 + g * rest1;
        second[i] = second[i] * beta2 + g * g * rest2;
        weights[i] -= first[i] / (sqrtf(second[i]) * root + epsilon) * rate;
    }
}
