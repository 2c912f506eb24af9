// Products of Q8_0 weights with inputs rounded to int8 by AVX512_VNNI. Everything else is that of AVX-512, exact.
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/vec16_avx512.h"
// The other formulas.
#include "worker/backend/cpu/kernels_impl.h"

namespace tidegate::worker {
namespace {

struct Int16 {
  __m512i v;
};
struct Weights64 {
  __m512i v;
};

inline Int16 int_zero() { return {_mm512_setzero_si512()}; }
inline Weights64 load_quads(const std::int8_t* weights) { return {_mm512_loadu_si512(weights)}; }
/// Adds to each lane the products of four inputs and the lane's four weights.
inline Int16 dot_quads(Int16 sum, const std::uint8_t* inputs, Weights64 weights) {
  std::int32_t four;
  __builtin_memcpy(&four, inputs, sizeof(four));
  return {_mm512_dpbusd_epi32(sum.v, _mm512_set1_epi32(four), weights.v)};
}
/// The same for inputs of 128.
inline Int16 dot_128(Int16 sum, Weights64 weights) {
  return {_mm512_dpbusd_epi32(sum.v, _mm512_set1_epi32(static_cast<int>(0x80808080u)), weights.v)};
}
inline Vec16 to_floats16(Int16 sum, Int16 offset) { return {_mm512_cvtepi32_ps(_mm512_sub_epi32(sum.v, offset.v))}; }

}  // namespace
}  // namespace tidegate::worker

// The products.
#include "worker/backend/cpu/int8_matmul.h"

namespace tidegate::worker {

const KernelTable kVnniInt8Kernels = int8_table();

}  // namespace tidegate::worker
