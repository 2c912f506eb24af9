#pragma once

#include <gtest/gtest.h>

#include <iterator>
#include <vector>

#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/packed_matrix.h"

namespace tidegate::worker {

/// Tests of the kernels of one instruction set, passed over where the machine has none of it.
class KernelsOf : public testing::TestWithParam<CpuIsa> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam())) GTEST_SKIP() << "no " << isa_name(GetParam()) << " here: " << isa_lack(GetParam());
  }
  /// `weights` has one output.
  static float multiply(const PackedMatrix& weights, const std::vector<float>& inputs) {
    ComputePool pool(1);
    Matmul matmul(kernels_for(GetParam()), pool);
    float y = -1;
    const auto x = const_rows(inputs.data(), std::ssize(inputs), 1);
    const auto to = mutable_rows(&y, 1, 1);
    const MatmulJob jobs[] = {{&weights, nullptr, x, to}};
    matmul.run(jobs);
    return y;
  }
};

}  // namespace tidegate::worker
