#include "worker/backend/cpu/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/core/random.h"
#include "tests/unit/worker/backend/same_bits.h"
#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/packed_matrix.h"
#include "worker/backend/cpu/router.h"

namespace tidegate::worker {
namespace {

using Floats = std::vector<float>;

Floats random_floats(std::size_t count, std::uint64_t seed, float range = 1.0f) {
  Rng rng(seed);
  Floats out(count);
  for (float& x : out) x = static_cast<float>(rng.unit() * 2 - 1) * range;
  return out;
}

/// A tensor over its own bytes.
struct OwnedTensor {
  std::vector<std::byte> bytes;
  TensorView view;
};

OwnedTensor random_tensor(Dtype dtype, std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  OwnedTensor out;
  Rng rng(seed);
  if (dtype == Dtype::kQ8_0) {  // blocks of a half-precision scale and 32 whole numbers, -128 included
    for (std::int64_t block = 0; block < rows * columns / 32; ++block) {
      const auto scale = static_cast<std::uint16_t>(0x2000 + rng.below(0x1000));  // 2^-7 to 2^-3
      out.bytes.push_back(static_cast<std::byte>(scale & 0xff));
      out.bytes.push_back(static_cast<std::byte>(scale >> 8));
      for (int i = 0; i < 32; ++i) out.bytes.push_back(static_cast<std::byte>(rng.below(256)));
    }
    out.view = {dtype, {rows, columns}, out.bytes};
    return out;
  }
  out.bytes.resize(static_cast<std::size_t>(rows * columns * dtype_bytes(dtype)));
  const Floats floats = random_floats(static_cast<std::size_t>(rows * columns), seed);
  for (std::size_t i = 0; i < floats.size(); ++i) {
    switch (dtype) {
      case Dtype::kF32:
        std::memcpy(out.bytes.data() + 4 * i, &floats[i], 4);
        break;
      case Dtype::kBf16:
        std::memcpy(out.bytes.data() + 2 * i, reinterpret_cast<const char*>(&floats[i]) + 2, 2);
        break;
      case Dtype::kF8E4m3: {
        const auto code = static_cast<std::uint8_t>(rng.below(256));  // subnormals and both zeros included
        out.bytes[i] = static_cast<std::byte>(e4m3_is_nan(code) ? 0 : code);
        break;
      }
      case Dtype::kF16:
      case Dtype::kQ8_0:
      case Dtype::kQ4_0:
      case Dtype::kQ4_1:
      case Dtype::kQ5_0:
      case Dtype::kQ5_1:
      case Dtype::kQ4K:
      case Dtype::kQ5K:
      case Dtype::kQ6K:
        break;
    }
  }
  out.view = {dtype, {rows, columns}, out.bytes};
  return out;
}

struct Product {
  Dtype dtype;
  std::int64_t outputs;
  std::int64_t inputs;
  std::int64_t rows;
};

std::vector<CpuIsa> available() {
  std::vector<CpuIsa> out;
  for (const CpuIsa isa : {CpuIsa::kScalar, CpuIsa::kAvx2, CpuIsa::kAvx512}) {
    if (isa_available(isa)) out.push_back(isa);
  }
  return out;
}

/// Those that round the inputs of products to bf16. The reference is there on every CPU.
std::vector<CpuIsa> rounding_to_bf16() {
  std::vector<CpuIsa> out;
  for (const CpuIsa isa : {CpuIsa::kAvx512Bf16, CpuIsa::kAmxBf16, CpuIsa::kAmxReference}) {
    if (isa_available(isa)) out.push_back(isa);
  }
  return out;
}

class MatmulKernel : public testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    const auto [dtype, outputs, inputs, rows] = GetParam();
    weight_ = random_tensor(dtype, outputs, inputs, 1);
    if (dtype == Dtype::kF8E4m3) {
      const std::int64_t blocks = (outputs + 127) / 128 * ((inputs + 127) / 128);
      scales_ = random_floats(static_cast<std::size_t>(blocks), 2);
      for (float& s : scales_) s = std::abs(s) + 0.01f;
      scale_view_ = {
          Dtype::kF32, {(outputs + 127) / 128, (inputs + 127) / 128}, std::as_bytes(std::span(scales_))};
    }
    x_ = random_floats(static_cast<std::size_t>(rows * inputs), 3);
  }
  const TensorView* scale() const { return scales_.empty() ? nullptr : &scale_view_; }

  Floats run(CpuIsa isa, std::int64_t first_row, std::int64_t rows, int threads) const {
    const auto [dtype, outputs, inputs, all] = GetParam();
    const auto packed = PackedMatrix::from_tensor(weight_.view, scale(), {}, kernels_for(isa).layout);
    ComputePool pool(threads);
    Matmul matmul(kernels_for(isa), pool);
    Floats y(static_cast<std::size_t>(rows * outputs), -1);
    const auto inputs_rows = const_rows(x_.data() + first_row * inputs, inputs, rows);
    const auto output_rows = mutable_rows(y.data(), outputs, rows);
    const MatmulJob jobs[] = {{&packed, nullptr, inputs_rows, output_rows}};
    matmul.run(jobs);
    return y;
  }

  OwnedTensor weight_;
  Floats scales_;
  TensorView scale_view_;
  Floats x_;
};

TEST_P(MatmulKernel, AgreesWithDoubleArithmetic) {
  const auto [dtype, outputs, inputs, rows] = GetParam();
  const Floats values = dequantise(weight_.view, scale(), {});
  const Floats y = run(CpuIsa::kAuto, 0, rows, 1);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      double size = 0;
      for (std::int64_t i = 0; i < inputs; ++i) {
        const double term = static_cast<double>(values[static_cast<std::size_t>(o * inputs + i)]) *
                            x_[static_cast<std::size_t>(r * inputs + i)];
        sum += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(y[static_cast<std::size_t>(r * outputs + o)], sum, 1e-5 * size + 1e-12) << r << ", " << o;
    }
  }
}

TEST_P(MatmulKernel, IsEqualBitForBitOnEveryInstructionSet) {
  const Floats reference = run(CpuIsa::kScalar, 0, GetParam().rows, 1);
  for (const CpuIsa isa : available())
    EXPECT_TRUE(same_bits(run(isa, 0, GetParam().rows, 1), reference)) << isa_name(isa);
}

/// Nothing but the inputs is rounded: with inputs that are bf16 numbers already, a sum in double precision is met as closely as
/// by the exact kernels.
TEST_P(MatmulKernel, WithInputsRoundedToBf16IsTheExactProductOfThoseInputs) {
  const auto [dtype, outputs, inputs, rows] = GetParam();
  const Floats values = dequantise(weight_.view, scale(), {});
  std::vector<Floats> of_isas;
  for (const CpuIsa isa : rounding_to_bf16()) of_isas.push_back(run(isa, 0, rows, 2));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      double size = 0;
      for (std::int64_t i = 0; i < inputs; ++i) {
        const float x = x_[static_cast<std::size_t>(r * inputs + i)];
        const double term = static_cast<double>(values[static_cast<std::size_t>(o * inputs + i)]) *
                            (dtype == Dtype::kF32 ? x : round_to_bf16(x));
        sum += term;
        size += std::abs(term);
      }
      for (std::size_t k = 0; k < of_isas.size(); ++k) {
        ASSERT_NEAR(of_isas[k][static_cast<std::size_t>(r * outputs + o)], sum, 1e-5 * size + 1e-12)
            << isa_name(rounding_to_bf16()[k]) << " " << r << ", " << o;
      }
    }
  }
}

TEST_P(MatmulKernel, WithInputsRoundedToBf16ARowIsTheSameAloneAndAmongOthers) {
  const auto [dtype, outputs, inputs, rows] = GetParam();
  for (const CpuIsa isa : rounding_to_bf16()) {
    const Floats together = run(isa, 0, rows, 3);
    for (std::int64_t r = 0; r < rows; ++r) {
      const Floats alone = run(isa, r, 1, 1);
      EXPECT_EQ(std::memcmp(alone.data(), together.data() + r * outputs, alone.size() * sizeof(float)), 0)
          << isa_name(isa) << " " << r;
    }
  }
}

/// Where there is AMX, its instructions are held to what the reference computes of Intel's documentation.
TEST_P(MatmulKernel, OfAmxTilesIsTheReferenceBitForBit) {
  if (!isa_available(CpuIsa::kAmxBf16)) GTEST_SKIP() << isa_lack(CpuIsa::kAmxBf16) << ": only the reference is tested here";
  const std::int64_t rows = GetParam().rows;
  EXPECT_TRUE(same_bits(run(CpuIsa::kAmxBf16, 0, rows, 2), run(CpuIsa::kAmxReference, 0, rows, 1)));
}

TEST_P(MatmulKernel, WithInputsRoundedToInt8IsEqualBitForBitOnEveryInstructionSetAndInAnyCompany) {
  const auto [dtype, outputs, inputs, rows] = GetParam();
  const Floats reference = run(CpuIsa::kInt8Reference, 0, rows, 2);
  for (const CpuIsa isa : {CpuIsa::kInt8Reference, CpuIsa::kVnniInt8}) {
    if (!isa_available(isa)) continue;
    EXPECT_TRUE(same_bits(run(isa, 0, rows, 3), reference)) << isa_name(isa);
    for (std::int64_t r = 0; r < rows; ++r) {
      const Floats alone = run(isa, r, 1, 1);
      EXPECT_EQ(std::memcmp(alone.data(), reference.data() + r * outputs, alone.size() * sizeof(float)), 0)
          << isa_name(isa) << " " << r;
    }
  }
}

/// Each input of a block is off by half a step at most, and a step is the largest of the block / 127: the sum by no more than
/// that times the weights. Products with other weights are exact.
TEST_P(MatmulKernel, WithInputsRoundedToInt8StaysWithinHalfAStepOfEveryInput) {
  const auto [dtype, outputs, inputs, rows] = GetParam();
  const Floats y = run(CpuIsa::kInt8Reference, 0, rows, 1);
  if (dtype != Dtype::kQ8_0) {
    EXPECT_TRUE(same_bits(y, run(CpuIsa::kScalar, 0, rows, 1)));
    return;
  }
  const Floats values = dequantise(weight_.view, scale(), {});
  bool is_rounded = false;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      double allowed = 0;
      for (std::int64_t block = 0; block < inputs; block += kQ8Block) {
        double weights = 0;
        double largest = 0;
        for (std::int64_t i = block; i < block + kQ8Block; ++i) {
          const double weight = values[static_cast<std::size_t>(o * inputs + i)];
          const double x = x_[static_cast<std::size_t>(r * inputs + i)];
          sum += weight * x;
          weights += std::abs(weight);
          largest = std::max(largest, std::abs(x));
        }
        allowed += weights * largest * (0.5 / 127 + 1e-5);
      }
      const double difference = std::abs(y[static_cast<std::size_t>(r * outputs + o)] - sum);
      ASSERT_LE(difference, allowed) << r << ", " << o;
      is_rounded = is_rounded || difference > 1e-5 * allowed;
    }
  }
  EXPECT_TRUE(is_rounded);
}

TEST(MatmulJobs, AnExactJobIsNotRounded) {
  if (!isa_available(CpuIsa::kAvx512Bf16)) GTEST_SKIP() << "this CPU has no avx512-bf16";
  const OwnedTensor weight = random_tensor(Dtype::kBf16, 40, 130, 1);
  const auto packed = PackedMatrix::from_tensor(weight.view, nullptr, {});
  const Floats x = random_floats(3 * 130, 2);
  const auto multiply = [&](CpuIsa isa, bool is_exact) {
    ComputePool pool(1);
    Matmul matmul(kernels_for(isa), pool);
    Floats y(3 * 40);
    const auto inputs = const_rows(x.data(), 130, 3);
    const auto outputs = mutable_rows(y.data(), 40, 3);
    const MatmulJob jobs[] = {{&packed, nullptr, inputs, outputs, is_exact}};
    matmul.run(jobs);
    return y;
  };
  const Floats exact = multiply(CpuIsa::kScalar, false);
  EXPECT_TRUE(same_bits(multiply(CpuIsa::kAvx512Bf16, true), exact));
  EXPECT_FALSE(same_bits(multiply(CpuIsa::kAvx512Bf16, false), exact));
}

TEST_P(MatmulKernel, ARowIsTheSameAloneAndAmongOthersAndOnAnyNumberOfThreads) {
  const auto [dtype, outputs, inputs, rows] = GetParam();
  const Floats together = run(CpuIsa::kAuto, 0, rows, 3);
  for (std::int64_t r = 0; r < rows; ++r) {
    const Floats alone = run(CpuIsa::kAuto, r, 1, 1);
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + r * outputs, alone.size() * sizeof(float)), 0) << r;
  }
}

INSTANTIATE_TEST_SUITE_P(, MatmulKernel,
                         testing::Values(Product{Dtype::kF32, 1, 1, 1}, Product{Dtype::kF32, 33, 129, 5},
                                         Product{Dtype::kBf16, 80, 128, 9}, Product{Dtype::kBf16, 47, 40, 70},
                                         Product{Dtype::kBf16, 96, 301, 31}, Product{Dtype::kQ8_0, 80, 96, 14},
                                         Product{Dtype::kBf16, 70, 65, 290}, Product{Dtype::kQ8_0, 20, 160, 273},
                                         Product{Dtype::kF8E4m3, 40, 130, 49},
                                         Product{Dtype::kQ8_0, 33, 320, 85}, Product{Dtype::kQ8_0, 1, 32, 1},
                                         Product{Dtype::kF8E4m3, 80, 192, 3},
                                         Product{Dtype::kF8E4m3, 320, 257, 15},
                                         Product{Dtype::kF8E4m3, 17, 500, 1}));

TEST(Kernels, NormsAndActivationsAreEqualOnEveryInstructionSet) {
  for (const int n : {1, 15, 16, 40, 257}) {
    const auto count = static_cast<std::size_t>(n);
    const Floats x = random_floats(count, 5, 30);
    const Floats w = random_floats(count, 6);
    Floats norm_reference;
    Floats silu_reference;
    Floats add_reference;
    for (const CpuIsa isa : available()) {
      const KernelTable& kernels = kernels_for(isa);
      Floats norm(count);
      kernels.rms_norm(x.data(), w.data(), norm.data(), n, 1e-6f);
      Floats silu = x;
      kernels.silu_mul(silu.data(), w.data(), n);
      Floats sum = w;
      kernels.add_scaled(sum.data(), x.data(), 0.3f, n);
      if (isa == CpuIsa::kScalar) {
        norm_reference = norm;
        silu_reference = silu;
        add_reference = sum;
      }
      EXPECT_TRUE(same_bits(norm, norm_reference)) << isa_name(isa) << " n " << n;
      EXPECT_TRUE(same_bits(silu, silu_reference)) << isa_name(isa) << " n " << n;
      EXPECT_TRUE(same_bits(sum, add_reference)) << isa_name(isa) << " n " << n;
    }
  }
}

TEST(Kernels, SiluIsAccurateOverTheWholeRangeAndKeepsNaN) {
  for (float x = -120; x <= 120; x += 0.37f) {
    float y = x;
    const float one = 1;
    kernels_for(CpuIsa::kAuto).silu_mul(&y, &one, 1);
    const double exact = x / (1 + std::exp(-static_cast<double>(x)));
    EXPECT_NEAR(y, exact, 4e-7 * std::abs(exact) + 1e-30) << x;
  }
  float nan = std::nanf("");
  const float one = 1;
  kernels_for(CpuIsa::kAuto).silu_mul(&nan, &one, 1);
  EXPECT_TRUE(std::isnan(nan));
}

/// 5 heads (one padded vector), latent 24 (one and a half vectors), width 24 + 6.
struct AttentionCase {
  static constexpr int kHeads = 5;
  static constexpr int kLatent = 24;
  static constexpr int kWidth = 30;
  static constexpr int kStride = 32;

  explicit AttentionCase(int tokens)
      : cache(random_floats(static_cast<std::size_t>(tokens * kWidth + kLanes), 7, 2)),
        query(random_floats(static_cast<std::size_t>(kWidth * kLanes), 8, 2)) {
    for (int j = 0; j < tokens; ++j) rows.push_back(cache.data() + j * kWidth);
  }

  struct Sums {
    Floats maximum = Floats(kLanes), total = Floats(kLanes),
           value = Floats(static_cast<std::size_t>(kHeads * kStride));
    AttentionSums view() { return {maximum.data(), total.data(), value.data(), kStride}; }
  };

  Sums attend(CpuIsa isa, int first, int count) {
    Floats scores(static_cast<std::size_t>(kAttentionPart * kLanes));
    Sums out;
    kernels_for(isa).attend({.query = query.data(),
                             .tokens = rows.data() + first,
                             .count = count,
                             .heads = kHeads,
                             .lanes = kLanes,
                             .width = kWidth,
                             .latent = kLatent,
                             .scale = 0.2f,
                             .scores = scores.data()},
                            out.view());
    return out;
  }

  Floats cache;
  Floats query;
  std::vector<const float*> rows;
};

TEST(AttentionKernel, AgreesWithDoubleArithmetic) {
  AttentionCase c(101);
  auto sums = c.attend(CpuIsa::kAuto, 0, 101);
  kernels_for(CpuIsa::kAuto).normalise(sums.view(), AttentionCase::kHeads);
  for (int h = 0; h < AttentionCase::kHeads; ++h) {
    std::vector<double> p;
    double total = 0;
    for (const float* row : c.rows) {
      double score = 0;
      for (int i = 0; i < AttentionCase::kWidth; ++i)
        score += static_cast<double>(row[i]) * c.query[static_cast<std::size_t>(i * kLanes + h)];
      p.push_back(std::exp(score * 0.2f));
      total += p.back();
    }
    for (int i = 0; i < AttentionCase::kLatent; ++i) {
      double value = 0;
      for (std::size_t j = 0; j < p.size(); ++j) value += p[j] / total * c.rows[j][i];
      EXPECT_NEAR(sums.value[static_cast<std::size_t>(h * AttentionCase::kStride + i)], value, 3e-6)
          << h << ", " << i;
    }
  }
}

TEST(AttentionKernel, IsEqualBitForBitOnEveryInstructionSet) {
  AttentionCase c(99);
  const auto reference = c.attend(CpuIsa::kScalar, 0, 99);
  for (const CpuIsa isa : available()) {
    auto sums = c.attend(isa, 0, 99);
    for (int h = 0; h < AttentionCase::kHeads; ++h) {
      const auto at = static_cast<std::size_t>(h * AttentionCase::kStride);
      EXPECT_EQ(std::memcmp(&sums.value[at], &reference.value[at], AttentionCase::kLatent * sizeof(float)), 0)
          << isa_name(isa);
      EXPECT_EQ(sums.total[static_cast<std::size_t>(h)], reference.total[static_cast<std::size_t>(h)])
          << isa_name(isa);
    }
  }
}

/// Three neighbouring rows of a prompt see 97, 98 and 99 tokens; together they get the bits that each gets alone.
TEST(AttentionKernel, RowsThatLookTogetherGetTheBitsOfEachAlone) {
  constexpr int kRows = 3;
  constexpr int kHeads = AttentionCase::kHeads;
  constexpr int kAllLanes = kLanes;  // 15 heads
  const int counts[kRows] = {97, 98, 99};
  AttentionCase c(99);
  const Floats queries = random_floats(static_cast<std::size_t>(AttentionCase::kWidth * kAllLanes), 9, 2);
  for (const CpuIsa isa : available()) {
    Floats scores(static_cast<std::size_t>(kAttentionPart * kAllLanes));
    Floats maximum(kAllLanes);
    Floats total(kAllLanes);
    Floats value(static_cast<std::size_t>(kRows * kHeads * AttentionCase::kStride));
    kernels_for(isa).attend({.query = queries.data(),
                             .tokens = c.rows.data(),
                             .count = 99,
                             .heads = kRows * kHeads,
                             .row_heads = kHeads,
                             .counts = counts,
                             .lanes = kAllLanes,
                             .width = AttentionCase::kWidth,
                             .latent = AttentionCase::kLatent,
                             .scale = 0.2f,
                             .scores = scores.data()},
                            {maximum.data(), total.data(), value.data(), AttentionCase::kStride});
    for (int row = 0; row < kRows; ++row) {
      for (int i = 0; i < AttentionCase::kWidth; ++i) {
        for (int h = 0; h < kLanes; ++h) {
          c.query[static_cast<std::size_t>(i * kLanes + h)] =
              h < kHeads ? queries[static_cast<std::size_t>(i * kAllLanes + row * kHeads + h)] : 0.0f;
        }
      }
      const auto alone = c.attend(isa, 0, counts[row]);
      for (int h = 0; h < kHeads; ++h) {
        const auto lane = static_cast<std::size_t>(row * kHeads + h);
        EXPECT_EQ(maximum[lane], alone.maximum[static_cast<std::size_t>(h)]) << isa_name(isa) << " row " << row;
        EXPECT_EQ(total[lane], alone.total[static_cast<std::size_t>(h)]) << isa_name(isa) << " row " << row;
        EXPECT_EQ(std::memcmp(&value[lane * AttentionCase::kStride], &alone.value[static_cast<std::size_t>(h * AttentionCase::kStride)],
                              AttentionCase::kLatent * sizeof(float)),
                  0)
            << isa_name(isa) << " row " << row;
      }
    }
  }
}

TEST(AttentionKernel, MergedPartsAreTheWhole) {
  AttentionCase c(128);
  const KernelTable& kernels = kernels_for(CpuIsa::kAuto);
  auto whole = c.attend(CpuIsa::kAuto, 0, 128);
  auto merged = c.attend(CpuIsa::kAuto, 0, 50);
  auto rest = c.attend(CpuIsa::kAuto, 50, 78);
  kernels.merge(merged.view(), rest.view(), AttentionCase::kHeads, kLanes);
  kernels.normalise(whole.view(), AttentionCase::kHeads);
  kernels.normalise(merged.view(), AttentionCase::kHeads);
  for (int h = 0; h < AttentionCase::kHeads; ++h) {
    for (int i = 0; i < AttentionCase::kLatent; ++i) {
      const auto at = static_cast<std::size_t>(h * AttentionCase::kStride + i);
      EXPECT_NEAR(merged.value[at], whole.value[at], 3e-6);
    }
  }
}

}  // namespace
}  // namespace tidegate::worker
