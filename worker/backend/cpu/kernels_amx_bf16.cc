// Products with inputs rounded to bf16 by AMX. Everything else is AVX-512, which CPUs with AMX have.
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/vec16_avx512.h"
// The other formulas.
#include "worker/backend/cpu/kernels_impl.h"
// Over the instructions.
#include "worker/backend/cpu/tile_unit_amx.h"
// The products.
#include "worker/backend/cpu/tile_matmul.h"

namespace tidegate::worker {

const KernelTable kAmxBf16Kernels = tile_table();

}  // namespace tidegate::worker
