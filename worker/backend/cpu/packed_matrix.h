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
/// stream it. Stored as it came (F32, bf16, e4m3 + scales; F16 and quantised blocks become F32): nothing is rounded, and
/// FP8 stays one byte.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// `scale` is the [ceil(out/128), ceil(in/128)] multiplier of an e4m3 tensor, otherwise nullptr.
  static PackedMatrix from_tensor(const TensorView& weight, const TensorView* scale,
                                  const Fp8Formulas& formulas);
  /// value(output, input), kept as F32.
  static PackedMatrix from_values(std::int64_t outputs, std::int64_t inputs,
                                  const std::function<float(std::int64_t, std::int64_t)>& value);

  [[nodiscard]] std::int64_t outputs() const { return outputs_; }
  [[nodiscard]] std::int64_t inputs() const { return inputs_; }
  [[nodiscard]] std::int64_t panels() const { return (outputs_ + kPanelColumns - 1) / kPanelColumns; }
  [[nodiscard]] WeightFormat format() const { return format_; }
  [[nodiscard]] PanelView panel(std::int64_t index) const;
  [[nodiscard]] bool empty() const { return outputs_ == 0; }

 private:
  PackedMatrix(std::int64_t outputs, std::int64_t inputs, WeightFormat format);
  std::int64_t outputs_ = 0;
  std::int64_t inputs_ = 0;
  WeightFormat format_ = WeightFormat::kF32;
  std::int64_t element_bytes_ = 4;
  AlignedBuffer<std::byte> weights_;  ///< [panel][input][32]
  AlignedBuffer<float> scales_;       ///< [panel][input block][32]; empty: no scales
};

/// The multiplier of one element of an e4m3 tensor of this shape.
float fp8_scale_at(std::span<const float> scales, std::int64_t rows, std::int64_t columns, std::int64_t row,
                   std::int64_t column, const Fp8Formulas& formulas);

/// All elements as float, scales applied: for small matrices that are repacked by head.
std::vector<float> dequantise(const TensorView& weight, const TensorView* scale, const Fp8Formulas& formulas);

}  // namespace tidegate::worker
