#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "worker/backend/cpu/aligned_buffer.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/format/safetensors.h"
#include "worker/model/formulas.h"

namespace tidegate::worker {

/// A weight matrix [outputs, inputs], repacked once at load into panels of 32 outputs so that the kernels
/// stream it. Stored as it came (F32, bf16, e4m3 or Q8_0 and their scales; F16 and other quantised blocks become F32): nothing is
/// rounded, FP8 and Q8_0 stay one byte. Kernels that multiply several inputs at a time have bf16 or Q8_0 in the order in which
/// they read them (WeightLayout).
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// `scale` is the [ceil(out/128), ceil(in/128)] multiplier of an e4m3 tensor, otherwise nullptr.
  static PackedMatrix from_tensor(const TensorView& weight, const TensorView* scale,
                                  const Fp8Formulas& formulas, WeightLayout layout = WeightLayout::kRows);
  /// value(output, input), kept as F32.
  static PackedMatrix from_values(std::int64_t outputs, std::int64_t inputs,
                                  const std::function<float(std::int64_t, std::int64_t)>& value);

  /// Over memory that a file holds (pack_file.h), which outlives it: sizes are those of bytes() and scales() of a matrix of
  /// this shape and format.
  static PackedMatrix over(std::int64_t outputs, std::int64_t inputs, WeightFormat format,
                           std::span<const std::byte> weights, std::span<const float> scales);
  /// Sizes of bytes() and scales().
  static std::int64_t packed_bytes(std::int64_t outputs, std::int64_t inputs, WeightFormat format);
  static std::int64_t packed_scales(std::int64_t outputs, std::int64_t inputs, WeightFormat format);
  /// What from_tensor() makes of a type.
  static WeightFormat format_of(Dtype dtype, WeightLayout layout = WeightLayout::kRows);

  [[nodiscard]] std::int64_t outputs() const { return outputs_; }
  [[nodiscard]] std::int64_t inputs() const { return inputs_; }
  [[nodiscard]] std::int64_t panels() const { return (outputs_ + kPanelColumns - 1) / kPanelColumns; }
  [[nodiscard]] WeightFormat format() const { return format_; }
  [[nodiscard]] PanelView panel(std::int64_t index) const;
  [[nodiscard]] bool empty() const { return outputs_ == 0; }
  /// As it lies in memory: [panel][input][32], or as PanelView says of the format.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return borrowed_.empty() ? std::span<const std::byte>(weights_.data(), weights_.size()) : borrowed_;
  }
  /// [panel][input block][32]; empty: no scales.
  [[nodiscard]] std::span<const float> scales() const {
    return borrowed_scales_.empty() ? std::span<const float>(scales_.data(), scales_.size()) : borrowed_scales_;
  }

 private:
  PackedMatrix(std::int64_t outputs, std::int64_t inputs, WeightFormat format);
  std::int64_t outputs_ = 0;
  std::int64_t inputs_ = 0;
  WeightFormat format_ = WeightFormat::kF32;
  std::int64_t element_bytes_ = 4;
  AlignedBuffer<std::byte> weights_;  ///< as bytes()
  AlignedBuffer<float> scales_;       ///< [panel][input block][32], blocks of scale_block(); empty: no scales
  std::span<const std::byte> borrowed_;  ///< instead of weights_
  std::span<const float> borrowed_scales_;
};

/// The multiplier of one element of an e4m3 tensor of this shape.
float fp8_scale_at(std::span<const float> scales, std::int64_t rows, std::int64_t columns, std::int64_t row,
                   std::int64_t column, const Fp8Formulas& formulas);

/// All elements as float, scales applied: for small matrices that are repacked by head.
std::vector<float> dequantise(const TensorView& weight, const TensorView* scale, const Fp8Formulas& formulas);

}  // namespace tidegate::worker
