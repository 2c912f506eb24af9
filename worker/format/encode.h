#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/core/result.h"
#include "worker/format/dtype.h"

/// Floats as the types that a converted checkpoint is stored in: the way back of to_floats(), with the error that each type
/// allows (tests/unit/worker/format/encode_test.cc holds every bound given here).
namespace tidegate::worker {

/// Round to nearest, ties to even. Beyond the largest finite value: infinity.
std::uint16_t float_to_bf16(float value);
std::uint16_t float_to_f16(float value);
/// The same; e4m3 has no infinity and saturates at 448.
std::uint8_t float_to_e4m3(float value);

/// F32, BF16, Q8_0 and Q4_0.
bool can_encode(Dtype dtype);

/// `values` are finite and whole blocks of `dtype`, one of those above; `out` has room for them. Errors, with d the block's
/// stored scale (a half float):
///   BF16  2^-8 of the value, 2^-134 at least
///   Q8_0  d / 2, d = largest magnitude / 127 as it is stored
///   Q4_0  d / 2, and d (1 + 2^-10) for values of the sign that the largest magnitude has not, since the codes are -8 to 7
/// Codes are chosen against the scale as it is stored, not as it was before it was rounded to a half float: that is what keeps
/// the bound at half a step. Fails: out_of_range/value_too_large when a value or a scale has no finite code.
Status encode_values(Dtype dtype, std::span<const float> values, std::byte* out);

/// Height and width of a tile of an FP8 matrix, which shares one scale.
inline constexpr std::int64_t kFp8Tile = 128;

/// A band of at most kFp8Tile rows as e4m3, and its scales, one a tile: value = code * scale, scale = largest magnitude / 448.
/// Error: 2^-4 of the value, scale * 2^-10 at least. `values` are finite, [rows][columns].
void encode_fp8_band(std::span<const float> values, std::int64_t columns, std::byte* out, std::span<float> scales);

}  // namespace tidegate::worker
