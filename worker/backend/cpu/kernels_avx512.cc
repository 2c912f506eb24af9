#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/vec16_avx512.h"
// The formulas, over the lanes chosen above.
#include "worker/backend/cpu/kernels_impl.h"

namespace tidegate::worker {

const KernelTable kAvx512Kernels = kernel_table();

}  // namespace tidegate::worker
