#include "worker/backend/cpu/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

/// The kernels read e4m3 as value / 256 (vec16_avx512.h); a power of two costs no precision.
constexpr float kFp8Unit = 256.0f;

std::int64_t blocks_of(std::int64_t n, std::int64_t block = kScaleBlock) {
  return (n + block - 1) / block;
}

bool has_scales(WeightFormat format) {
  return format == WeightFormat::kFp8 || format == WeightFormat::kQ8_0 || format == WeightFormat::kQ8Quads;
}

/// Inputs of a panel in memory: padding counts.
std::int64_t stored_inputs(std::int64_t inputs, WeightFormat format) {
  return format == WeightFormat::kBf16Pairs ? paired_inputs(inputs) : inputs;
}

/// Where input `i` of column `c` lies in a panel that has `together` neighbouring inputs of a column beside each other.
std::int64_t place_of(std::int64_t i, std::int64_t c, std::int64_t together) {
  return (i / together * kPanelColumns + c) * together + i % together;
}

/// Panels of `stored` inputs each, those from `inputs` on zero.
template <typename T>
void copy_panels(const TensorView& weight, T* out, std::int64_t outputs, std::int64_t inputs, std::int64_t stored,
                 std::int64_t together) {
  for (std::int64_t first = 0; first < outputs; first += kPanelColumns) {
    const std::int64_t columns = std::min<std::int64_t>(kPanelColumns, outputs - first);
    for (std::int64_t c = 0; c < kPanelColumns; ++c) {
      const std::byte* row = weight.bytes.data() + static_cast<std::size_t>((first + c) * inputs) * sizeof(T);
      for (std::int64_t i = 0; i < stored; ++i) {
        T value{};
        if (c < columns && i < inputs) std::memcpy(&value, row + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
        out[place_of(i, c, together)] = value;
      }
    }
    out += stored * kPanelColumns;
  }
}

std::int64_t bytes_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 4;
    case WeightFormat::kBf16:
    case WeightFormat::kBf16Pairs:
      return 2;
    case WeightFormat::kFp8:
    case WeightFormat::kQ8_0:
    case WeightFormat::kQ8Quads:
      return 1;
  }
  return 0;
}

/// A Q8_0 tensor's row is blocks of one half-precision scale and 32 whole numbers.
constexpr std::int64_t kQ8BlockBytes = 2 + kQ8Block;

void copy_q8_panels(const TensorView& weight, std::int8_t* out, float* scales, std::int64_t outputs, std::int64_t inputs,
                    std::int64_t together) {
  const std::int64_t blocks = inputs / kQ8Block;
  for (std::int64_t first = 0; first < outputs; first += kPanelColumns) {
    for (std::int64_t c = 0; c < kPanelColumns; ++c) {
      const bool is_padding = first + c >= outputs;
      for (std::int64_t block = 0; block < blocks; ++block) {
        std::byte from[kQ8BlockBytes] = {};
        if (!is_padding) {
          std::memcpy(from, weight.bytes.data() + ((first + c) * blocks + block) * kQ8BlockBytes, sizeof(from));
        }
        std::uint16_t scale = 0;
        std::memcpy(&scale, from, sizeof(scale));
        scales[block * kPanelColumns + c] = f16_to_float(scale);
        for (std::int64_t i = 0; i < kQ8Block; ++i) {
          out[place_of(block * kQ8Block + i, c, together)] = static_cast<std::int8_t>(from[2 + i]);
        }
      }
    }
    out += inputs * kPanelColumns;
    scales += blocks * kPanelColumns;
  }
}

}  // namespace

float fp8_scale_at(std::span<const float> scales, std::int64_t rows, std::int64_t columns, std::int64_t row,
                   std::int64_t column, const Fp8Formulas& formulas) {
  const std::int64_t row_blocks = blocks_of(rows);
  const std::int64_t height = formulas.rows_over_blocks ? rows / row_blocks : kScaleBlock;
  const std::int64_t r = std::min(row / height, row_blocks - 1);
  const std::int64_t c = formulas.first_column_block_only ? 0 : column / kScaleBlock;
  const float stored = scales[static_cast<std::size_t>(r * blocks_of(columns) + c)];
  const float unit = std::ldexp(1.0f, 7 - formulas.exponent_bias);
  switch (formulas.scale) {
    case Fp8Scale::kMultiply:
      return stored * unit;
    case Fp8Scale::kDivide:
      return unit / stored;
    case Fp8Scale::kIgnore:
      return unit;
  }
  return unit;
}

std::vector<float> dequantise(const TensorView& weight, const TensorView* scale,
                              const Fp8Formulas& formulas) {
  std::vector<float> out = to_floats(weight);
  if (scale == nullptr) return out;
  const std::vector<float> scales = to_floats(*scale);
  const std::int64_t rows = weight.shape[0];
  const std::int64_t columns = weight.shape[1];
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      out[static_cast<std::size_t>(r * columns + c)] *= fp8_scale_at(scales, rows, columns, r, c, formulas);
    }
  }
  return out;
}

PackedMatrix::PackedMatrix(std::int64_t outputs, std::int64_t inputs, WeightFormat format)
    : outputs_(outputs), inputs_(inputs), format_(format), element_bytes_(bytes_of(format)) {
  weights_ = AlignedBuffer<std::byte>(static_cast<std::size_t>(packed_bytes(outputs, inputs, format)));
}

std::int64_t PackedMatrix::packed_bytes(std::int64_t outputs, std::int64_t inputs, WeightFormat format) {
  return (outputs + kPanelColumns - 1) / kPanelColumns * kPanelColumns * stored_inputs(inputs, format) * bytes_of(format);
}

std::int64_t PackedMatrix::packed_scales(std::int64_t outputs, std::int64_t inputs, WeightFormat format) {
  if (!has_scales(format)) return 0;
  return (outputs + kPanelColumns - 1) / kPanelColumns * kPanelColumns * blocks_of(inputs, scale_block(format));
}

WeightFormat PackedMatrix::format_of(Dtype dtype, WeightLayout layout) {
  if (dtype == Dtype::kBf16) return layout == WeightLayout::kPairs ? WeightFormat::kBf16Pairs : WeightFormat::kBf16;
  if (dtype == Dtype::kQ8_0) return layout == WeightLayout::kQuads ? WeightFormat::kQ8Quads : WeightFormat::kQ8_0;
  return dtype == Dtype::kF8E4m3 ? WeightFormat::kFp8 : WeightFormat::kF32;
}

PackedMatrix PackedMatrix::over(std::int64_t outputs, std::int64_t inputs, WeightFormat format,
                                std::span<const std::byte> weights, std::span<const float> scales) {
  TG_CHECK(static_cast<std::int64_t>(weights.size()) == packed_bytes(outputs, inputs, format));
  TG_CHECK(static_cast<std::int64_t>(scales.size()) == packed_scales(outputs, inputs, format));
  PackedMatrix out;
  out.outputs_ = outputs;
  out.inputs_ = inputs;
  out.format_ = format;
  out.element_bytes_ = bytes_of(format);
  out.borrowed_ = weights;
  out.borrowed_scales_ = scales;
  return out;
}

PackedMatrix PackedMatrix::from_tensor(const TensorView& weight, const TensorView* scale,
                                       const Fp8Formulas& formulas, WeightLayout layout) {
  TG_CHECK(weight.shape.size() == 2);
  const WeightFormat format = format_of(weight.dtype, layout);
  const std::int64_t outputs = weight.shape[0];
  const std::int64_t inputs = weight.shape[1];
  switch (weight.dtype) {
    case Dtype::kF32:
    case Dtype::kF16:
    case Dtype::kQ4_0:
    case Dtype::kQ4_1:
    case Dtype::kQ5_0:
    case Dtype::kQ5_1:
    case Dtype::kQ4K:
    case Dtype::kQ5K:
    case Dtype::kQ6K: {
      const std::vector<float> values = to_floats(weight);
      return from_values(outputs, inputs, [&](std::int64_t o, std::int64_t i) {
        return values[static_cast<std::size_t>(o * inputs + i)];
      });
    }
    case Dtype::kBf16: {
      PackedMatrix out(outputs, inputs, format);
      copy_panels(weight, reinterpret_cast<std::uint16_t*>(out.weights_.data()), outputs, inputs, stored_inputs(inputs, format),
                  format == WeightFormat::kBf16Pairs ? 2 : 1);
      return out;
    }
    case Dtype::kQ8_0: {
      TG_CHECK(inputs % kQ8Block == 0);
      PackedMatrix out(outputs, inputs, format);
      out.scales_ = AlignedBuffer<float>(static_cast<std::size_t>(packed_scales(outputs, inputs, format)));
      copy_q8_panels(weight, reinterpret_cast<std::int8_t*>(out.weights_.data()), out.scales_.data(), outputs, inputs,
                     format == WeightFormat::kQ8Quads ? 4 : 1);
      return out;
    }
    case Dtype::kF8E4m3:
      break;
  }
  TG_CHECK(scale != nullptr);
  PackedMatrix out(outputs, inputs, WeightFormat::kFp8);
  copy_panels(weight, reinterpret_cast<std::uint8_t*>(out.weights_.data()), outputs, inputs, inputs, 1);
  const std::vector<float> scales = to_floats(*scale);
  const std::int64_t blocks = blocks_of(inputs);
  out.scales_ = AlignedBuffer<float>(static_cast<std::size_t>(out.panels() * blocks * kPanelColumns));
  float* at = out.scales_.data();
  for (std::int64_t first = 0; first < outputs; first += kPanelColumns) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      for (std::int64_t c = 0; c < kPanelColumns; ++c, ++at) {
        // Kept per column, because a panel may straddle two row blocks if a block were not a multiple of 32.
        const bool is_padding = first + c >= outputs;
        *at = is_padding ? 0.0f
                         : kFp8Unit * fp8_scale_at(scales, outputs, inputs, first + c, block * kScaleBlock,
                                                   formulas);
      }
    }
  }
  return out;
}

PackedMatrix PackedMatrix::from_values(std::int64_t outputs, std::int64_t inputs,
                                       const std::function<float(std::int64_t, std::int64_t)>& value) {
  PackedMatrix out(outputs, inputs, WeightFormat::kF32);
  auto* at = reinterpret_cast<float*>(out.weights_.data());
  for (std::int64_t first = 0; first < outputs; first += kPanelColumns) {
    for (std::int64_t i = 0; i < inputs; ++i) {
      for (std::int64_t c = 0; c < kPanelColumns; ++c)
        *at++ = first + c < outputs ? value(first + c, i) : 0.0f;
    }
  }
  return out;
}

PanelView PackedMatrix::panel(std::int64_t index) const {
  const std::int64_t first = index * kPanelColumns;
  return {
      .weights = bytes().data() + first * stored_inputs(inputs_, format_) * element_bytes_,
      .scales = scales().empty() ? nullptr : scales().data() + index * blocks_of(inputs_, scale_block(format_)) * kPanelColumns,
      .k = inputs_,
      .columns = static_cast<int>(std::min<std::int64_t>(kPanelColumns, outputs_ - first))};
}

}  // namespace tidegate::worker
