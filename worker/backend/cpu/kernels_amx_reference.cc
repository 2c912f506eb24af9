// What kernels_amx_bf16.cc is meant to compute, on any CPU.
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/vec16_scalar.h"
// The other formulas.
#include "worker/backend/cpu/kernels_impl.h"
// Over what Intel documents of the instructions.
#include "worker/backend/cpu/tile_unit_emulated.h"
// The products.
#include "worker/backend/cpu/tile_matmul.h"

namespace tidegate::worker {

const KernelTable kAmxReferenceKernels = tile_table();

}  // namespace tidegate::worker
