// What kernels_vnni_int8.cc computes, on any CPU: the readable reference, and equal bit for bit.
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/vec16_scalar.h"
// The other formulas.
#include "worker/backend/cpu/kernels_impl.h"

namespace tidegate::worker {
namespace {

struct Int16 {
  std::int32_t lane[kLanes];
};
struct Weights64 {
  const std::int8_t* at;
};

inline Int16 int_zero() { return {}; }
inline Weights64 load_quads(const std::int8_t* weights) { return {weights}; }
/// Adds to each lane the products of four inputs and the lane's four weights.
inline Int16 dot_quads(Int16 sum, const std::uint8_t* inputs, Weights64 weights) {
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) sum.lane[lane] += std::int32_t{inputs[i]} * weights.at[4 * lane + i];
  }
  return sum;
}
/// The same for inputs of 128.
inline Int16 dot_128(Int16 sum, Weights64 weights) {
  constexpr std::uint8_t kInputs[4] = {128, 128, 128, 128};
  return dot_quads(sum, kInputs, weights);
}
inline Vec16 to_floats16(Int16 sum, Int16 offset) {
  return each([&](int i) { return static_cast<float>(sum.lane[i] - offset.lane[i]); });
}

}  // namespace
}  // namespace tidegate::worker

// The products.
#include "worker/backend/cpu/int8_matmul.h"

namespace tidegate::worker {

const KernelTable kInt8ReferenceKernels = int8_table();

}  // namespace tidegate::worker
